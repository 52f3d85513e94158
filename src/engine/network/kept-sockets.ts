/**
 * Sockets that outlive the engine: whoever started it keeps them while it is away, so that what comes meanwhile waits in
 * them and is answered by the next run, in place of being refused.
 *
 * Life cycle: each socket is kept under a name of its own from its making to its end. The next run takes what it finds a
 * use for, and forgets the rest.
 */
import type { Fd } from '../kernel/kernel.ts';

/** A socket of the engine's last run. */
export interface KeptSocket {
  readonly name: string;
  /** Whoever takes it owns it. */
  readonly fd: Fd;
}

/** Nothing here throws: what cannot be kept is made anew. */
export interface KeptSockets {
  /** One whose name begins so; null when there is none. It stays kept. */
  take(prefix: string): KeptSocket | null;
  keep(name: string, fd: Fd): void;
  /** Idempotent. */
  forget(name: string): void;
  /** Closes and forgets what nobody has taken. */
  forgetRest(): void;
}
