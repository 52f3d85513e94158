/** Who calls: uid by unique name, asked of the bus once and forgotten when the name leaves. */
import type { BusConnection } from './connection.ts';
import { BusError, standardErrorName } from './errors.ts';
import type { Peer, Variant } from './exported.ts';

/** One peer on the bus. */
export class Caller implements Peer {
  readonly name: string;
  readonly uid: Promise<number>;
  readonly #calls = new Set<AbortController>();
  #isHere = true;

  constructor(name: string, uid: Promise<number>) {
    this.name = name;
    this.uid = uid;
  }

  get isHere(): boolean {
    return this.#isHere;
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

  /** It has left, or the bus has: nobody waits for its calls any more. */
  leave(reason: Error): void {
    this.#isHere = false;
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

  /** The peer has left the bus. */
  left(name: string): void {
    this.#callers.get(name)?.leave(new DOMException('the caller has left the bus', 'AbortError'));
    this.#callers.delete(name);
  }

  /** The bus has gone, or is left: so have all. */
  allLeft(reason: Error): void {
    for (const caller of this.#callers.values()) caller.leave(reason);
  }

  async #uidOf(name: string): Promise<number> {
    const [credentials] = await this.#connection.callBus('GetConnectionCredentials', 's', [name]);
    const { UnixUserID: uid } = credentials as Readonly<Record<string, Variant | undefined>>;
    if (typeof uid?.value === 'number') return uid.value;
    throw new BusError(standardErrorName('AccessDenied'), 'the bus does not know who you are');
  }
}
