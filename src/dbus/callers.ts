/** Who calls: uid by unique name, asked of the bus once and forgotten when the name leaves. */
import type { BusConnection } from './connection.ts';
import { BusError, standardErrorName } from './errors.ts';
import type { Variant } from './exported.ts';

/** One peer on the bus. */
export class Caller {
  readonly name: string;
  readonly uid: Promise<number>;
  readonly #calls = new Set<AbortController>();

  constructor(name: string, uid: Promise<number>) {
    this.name = name;
    this.uid = uid;
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** A signal for one call; ended by {@link finish}. */
  begin(): AbortController {
    const controller = new AbortController();
    this.#calls.add(controller);
    return controller;
  }

  finish(call: AbortController): void {
    this.#calls.delete(call);
  }

  abort(reason: Error): void {
    for (const call of this.#calls) call.abort(reason);
  }
}

/** The peers of one connection that have called. */
export class Callers {
  readonly #connection: BusConnection;
  readonly #callers = new Map<string, Caller>();

  constructor(connection: BusConnection) {
    this.#connection = connection;
  }

  get(name: string): Caller {
    const known = this.#callers.get(name);
    if (known !== undefined) return known;
    const uid = this.#uidOf(name);
    // The call that asked sees the failure; the next one asks again.
    uid.catch(() => this.#callers.delete(name));
    const caller = new Caller(name, uid);
    this.#callers.set(name, caller);
    return caller;
  }

  /** Whether a peer has called and is still there. */
  has(name: string): boolean {
    return this.#callers.has(name);
  }

  /** The peer has left the bus: nobody waits for its calls any more. */
  left(name: string): void {
    this.#callers.get(name)?.abort(new DOMException('the caller has left the bus', 'AbortError'));
    this.#callers.delete(name);
  }

  abortAll(reason: Error): void {
    for (const caller of this.#callers.values()) caller.abort(reason);
  }

  async #uidOf(name: string): Promise<number> {
    const [credentials] = await this.#connection.callBus('GetConnectionCredentials', 's', [name]);
    const { UnixUserID: uid } = credentials as Readonly<Record<string, Variant | undefined>>;
    if (typeof uid?.value === 'number') return uid.value;
    throw new BusError(standardErrorName('AccessDenied'), 'the bus does not know who you are');
  }
}
