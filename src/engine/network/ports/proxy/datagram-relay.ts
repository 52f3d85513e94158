import { errnoCodeOf } from '../../../../base/errors.ts';
import type { Datagram } from '../../../kernel/internet.ts';
import type { Fd } from '../../../kernel/kernel.ts';
import type { ServedPort } from './orders.ts';
import type { RelayParts } from './stream-relay.ts';

/** A caller that has neither sent nor got anything for so long is forgotten; dockerd's proxy has the same. */
const SESSION_MS = 90_000;
const SWEEP_MS = 10_000;
/** Datagrams taken from one socket before the others have their turn. */
const DATAGRAMS_A_TURN = 64;
/** Keys of sessions start here: those of ports never come so far. */
const FIRST_SESSION_KEY = 0x8000_0000;

/** One caller of one port. */
interface Session {
  readonly key: number;
  readonly port: ServedPort;
  readonly caller: string;
  /** Connected to the container. */
  readonly fd: Fd;
  readonly way: Pick<Datagram, 'peer' | 'destination'>;
  lastUsedMs: number;
}

/** UDP: each caller of a port has a socket of its own towards the container, so that answers find their way back. */
export class DatagramRelay {
  readonly #parts: RelayParts;
  /** By port, then by caller. */
  readonly #sessions = new Map<number, Map<string, Session>>();
  readonly #byKey = new Map<number, Session>();
  #nextKey = FIRST_SESSION_KEY;
  #sweep: Disposable | null = null;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** Callers that are remembered. */
  get size(): number {
    return this.#byKey.size;
  }

  serve(port: ServedPort): void {
    this.#sessions.set(port.key, new Map());
    this.#parts.ready.add(port.fd, port.key);
  }

  drop(port: ServedPort): void {
    this.#parts.ready.remove(port.fd);
    for (const session of [...(this.#sessions.get(port.key)?.values() ?? [])]) this.#forget(session);
    this.#sessions.delete(port.key);
  }

  /** Takes what callers sent to a port into the container. */
  forward(port: ServedPort): void {
    const { internet } = this.#parts;
    for (let count = 0; count < DATAGRAMS_A_TURN; count += 1) {
      const datagram = internet.receiveFrom(port.fd);
      if (datagram === null) return;
      const session = this.#sessionOf(port, datagram);
      session.lastUsedMs = this.#parts.clock.monotonicMs();
      // What cannot be delivered is lost, as datagrams are; a refusal that came for one before is no reason for this one.
      deliver(() => internet.send(session.fd, datagram.bytes));
    }
  }

  /** Takes what the container sent back to the caller. Keys that are no session's (any more) are no error. */
  answer(key: number): void {
    const { internet, clock } = this.#parts;
    const session = this.#byKey.get(key);
    if (session === undefined) return;
    for (let count = 0; count < DATAGRAMS_A_TURN; count += 1) {
      const bytes = receive(() => internet.receive(session.fd));
      if (bytes === 'refused') continue;
      if (bytes === null) return;
      session.lastUsedMs = clock.monotonicMs();
      deliver(() => internet.sendTo(session.port.fd, bytes, session.way));
    }
  }

  #sessionOf(port: ServedPort, { peer, destination }: Datagram): Session {
    const { internet, ready, clock, maxCallers } = this.#parts;
    const caller = peer.toString('latin1');
    const known = this.#sessions.get(port.key)?.get(caller);
    if (known !== undefined) return known;
    if (this.#byKey.size >= maxCallers) this.#forgetOldest();
    const fd = internet.connectDatagrams(port.backendAddress, port.backendPort);
    const session: Session = {
      key: this.#nextKey,
      port,
      caller,
      fd,
      way: { peer, destination },
      lastUsedMs: clock.monotonicMs(),
    };
    this.#nextKey = this.#nextKey === 0xffff_ffff ? FIRST_SESSION_KEY : this.#nextKey + 1;
    ready.add(fd, session.key);
    this.#byKey.set(session.key, session);
    this.#sessions.get(port.key)?.set(caller, session);
    this.#sweep ??= clock.after(SWEEP_MS, () => this.#forgetSilent());
    return session;
  }

  #forgetSilent(): void {
    this.#sweep = null;
    const limit = this.#parts.clock.monotonicMs() - SESSION_MS;
    for (const session of [...this.#byKey.values()]) if (session.lastUsedMs < limit) this.#forget(session);
    if (this.#byKey.size > 0) this.#sweep = this.#parts.clock.after(SWEEP_MS, () => this.#forgetSilent());
    this.#parts.settled();
  }

  /** Of those that came first: looking for the most silent one for each newcomer would be work for a flood of them. */
  #forgetOldest(): void {
    const [oldest] = this.#byKey.values();
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(session: Session): void {
    this.#byKey.delete(session.key);
    this.#sessions.get(session.port.key)?.delete(session.caller);
    this.#parts.ready.remove(session.fd);
    this.#parts.internet.close([session.fd]);
  }
}

/** An error that the container's host had told meanwhile comes in place of the next call's own result: try that again. */
function deliver(send: () => void): void {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      send();
      return;
    } catch (error) {
      if (errnoCodeOf(error) !== 'ECONNREFUSED') return;
    }
  }
}

function receive(job: () => Buffer | null): Buffer | 'refused' | null {
  try {
    return job();
  } catch {
    return 'refused';
  }
}
