/**
 * One connection to a bus: authentication, serials, replies to our calls, match rules. It ends once and is never
 * revived; `session.ts` makes the next one.
 */
import { Duplex } from 'node:stream';
import handshake from 'dbus-next/lib/handshake.js';
import type { Clock } from '../../base/clock.ts';
import { messageOf, UnavailableError } from '../../base/errors.ts';
import { BusError, standardErrorName } from './errors.ts';
import type { MatchRule } from './match-rule.ts';
import { matches, ruleText } from './match-rule.ts';
import type { BusStream } from './transport.ts';
import type { UnreadableMessage } from './wire/framer.ts';
import { Framer } from './wire/framer.ts';
import type { IncomingMessage, OutgoingMessage } from './wire/message.ts';
import { encodeMessage, FLAG_NO_AUTO_START, FLAG_NO_REPLY } from './wire/message.ts';

export const BUS_NAME = 'org.freedesktop.DBus';
export const BUS_PATH = '/org/freedesktop/DBus';

/** Authentication and Hello take a millisecond; a bus that needs longer is stuck. */
const CONNECT_TIMEOUT_MS = 10_000;
/** What libdbus grants a call. */
const CALL_TIMEOUT_MS = 25_000;
/** The system bus's limit: it ends the connection for a longer one. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
/** A bus that has not taken this much is stuck: everything would be kept in memory for it. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;

/** A call to another service. */
export interface OutgoingCall {
  readonly destination: string;
  readonly path: string;
  readonly interface?: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  /** 25 seconds unless told; null: none. */
  readonly timeoutMs?: number | null;
  readonly signal?: AbortSignal;
  /** False: the service is not started for it. */
  readonly autoStart?: boolean;
  /** True: descriptors in the answer are the caller's; otherwise they are closed. */
  readonly takesFds?: boolean;
}

/** What a connection hands up; calls may come before {@link connectBus} has returned it. */
export interface ConnectionEvents {
  /** A call for one of our objects. */
  call(message: IncomingMessage, connection: BusConnection): void;
  /** A call that cannot be read: its sender waits for an error. */
  unreadable(message: UnreadableMessage, connection: BusConnection): void;
  /** An error about a message of ours that no call of ours waits for. */
  bounce(message: IncomingMessage): void;
  /** The end; null when we closed it. */
  closed(error: Error | null): void;
}

interface PendingCall {
  readonly takesFds: boolean;
  resolve(body: readonly unknown[]): void;
  reject(error: Error): void;
}

interface Match {
  readonly rule: MatchRule;
  readonly listener: (message: IncomingMessage) => void;
}

export interface ConnectOptions {
  readonly stream: BusStream;
  readonly clock: Clock;
  readonly closeFd: (fd: number) => void;
  readonly events: ConnectionEvents;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

/** Authenticates and says Hello. Rejects with UnavailableError when the bus refuses or does not answer. */
export async function connectBus(options: ConnectOptions): Promise<BusConnection> {
  const connection = new BusConnection(options);
  try {
    await connection.start(options.signal);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

export class BusConnection {
  /** Our unique name. */
  uniqueName = '';
  readonly #stream: BusStream;
  readonly #clock: Clock;
  readonly #closeFd: (fd: number) => void;
  readonly #events: ConnectionEvents;
  readonly #framer: Framer;
  readonly #calls = new Map<number, PendingCall>();
  readonly #matches = new Set<Match>();
  #serial = 0;
  #isOpen = true;
  #isUp = false;
  /** Takes bytes until authentication is over. */
  #auth: Duplex | null = null;

  constructor({ stream, clock, closeFd, events }: ConnectOptions) {
    this.#stream = stream;
    this.#clock = clock;
    this.#closeFd = closeFd;
    this.#events = events;
    this.#framer = new Framer({
      message: (message) => this.#receive(message),
      unreadable: (message) => this.#receiveUnreadable(message),
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => undefined);
    const giveUp = (reason: Error): void => {
      failed.reject(reason);
      this.#end(reason);
    };
    using _timer = this.#clock.after(CONNECT_TIMEOUT_MS, () => giveUp(new UnavailableError('the bus does not answer')));
    const onAbort = (): void => giveUp(new UnavailableError('the bus is not wanted any more'));
    signal?.addEventListener('abort', onAbort, { once: true });
    using _listener = { [Symbol.dispose]: () => signal?.removeEventListener('abort', onAbort) };
    this.#stream.open({
      data: (bytes, fds) => this.#data(bytes, fds),
      end: (error) => {
        giveUp(new UnavailableError(error === null ? 'the bus closed the connection' : messageOf(error)));
      },
    });
    await Promise.race([this.#authenticate(), failed.promise]);
    const [name] = await this.callBus('Hello', '', []);
    this.uniqueName = String(name);
    this.#isUp = true;
  }

  /** Calls another service; takes over descriptors in the body. Rejects with {@link BusError} for its error reply, UnavailableError when the bus goes. */
  async call(call: OutgoingCall): Promise<readonly unknown[]> {
    call.signal?.throwIfAborted();
    if (!this.#isOpen) throw new UnavailableError('there is no connection to the bus');
    const { timeoutMs = CALL_TIMEOUT_MS, signal, autoStart = true, takesFds = false, ...fields } = call;
    const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
    const serial = this.#send({ ...fields, type: 'call', flags: autoStart ? 0 : FLAG_NO_AUTO_START });
    this.#calls.set(serial, { resolve, reject, takesFds });
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer =
      timeoutMs === null
        ? null
        : this.#clock.after(timeoutMs, () =>
            reject(new BusError('org.freedesktop.DBus.Error.Timeout', `${call.destination} did not answer in time`)),
          );
    try {
      return await promise;
    } finally {
      this.#calls.delete(serial);
      timer?.[Symbol.dispose]();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Calls the bus itself. */
  callBus(member: string, signature: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    return this.call({ destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member, signature, body });
  }

  /**
   * Sends a signal or a reply, and takes over the descriptors in it; false when the connection has ended: nothing is
   * taken over then. Throws ValueError for a bad value and BusError for too long a message, with the same effect.
   */
  send(message: OutgoingMessage): boolean {
    if (this.#isOpen) this.#send(message);
    return this.#isOpen;
  }

  /** Listens to signals; the rule is taken back when the result is disposed. */
  async match(rule: MatchRule, listener: (message: IncomingMessage) => void): Promise<AsyncDisposable> {
    const match = { rule, listener };
    const text = ruleText(rule);
    this.#matches.add(match);
    try {
      await this.callBus('AddMatch', 's', [text]);
    } catch (error) {
      this.#matches.delete(match);
      throw error;
    }
    return {
      [Symbol.asyncDispose]: async () => {
        if (!this.#matches.delete(match) || !this.#isOpen) return;
        // The bus may be gone by now, and the rule with it.
        await this.callBus('RemoveMatch', 's', [text]).catch(() => undefined);
      },
    };
  }

  /** Sends what is queued, then closes; calls under way are rejected. */
  close(): void {
    this.#stream.finish();
    this.#end(null);
  }

  async #authenticate(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const auth = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        this.#stream.send(chunk);
        done();
      },
    });
    this.#auth = auth;
    auth.on('error', reject);
    handshake(Object.assign(auth, { supportsUnixFd: true }), { authMethods: ['EXTERNAL'] }, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(new UnavailableError(`the bus refuses us: ${messageOf(error)}`));
    });
    try {
      await promise;
    } finally {
      this.#auth = null;
    }
  }

  #send(message: OutgoingMessage): number {
    this.#serial = this.#serial === 0xffffffff ? 1 : this.#serial + 1;
    const { bytes, fds } = encodeMessage(message, this.#serial);
    if (bytes.length > MAX_MESSAGE_BYTES) {
      throw new BusError(standardErrorName('LimitsExceeded'), `a message of ${String(bytes.length)} bytes is too long`);
    }
    this.#stream.send(bytes, fds);
    if (this.#stream.queuedBytes > MAX_QUEUED_BYTES) {
      queueMicrotask(() => this.#end(new UnavailableError('the bus does not take what is sent to it')));
    }
    return this.#serial;
  }

  #data(bytes: Buffer, fds: readonly number[]): void {
    if (this.#auth !== null) {
      fds.forEach(this.#closeFd);
      this.#auth.push(bytes);
      return;
    }
    try {
      this.#framer.push(bytes, fds);
    } catch (error) {
      this.#end(new UnavailableError(`the bus sent what is no message: ${messageOf(error)}`));
    }
  }

  #receive(message: IncomingMessage): void {
    if (message.type === 'call') {
      this.#events.call(message, this);
      return;
    }
    const pending = this.#calls.get(message.replySerial ?? 0);
    if (message.type !== 'return' || pending?.takesFds !== true) message.fds.forEach(this.#closeFd);
    if (message.type === 'signal') {
      for (const { rule, listener } of [...this.#matches]) if (matches(rule, message)) listener(message);
      return;
    }
    if (pending === undefined) {
      if (message.type === 'error') this.#events.bounce(message);
      return;
    }
    if (message.type === 'return') pending.resolve(message.body);
    else pending.reject(new BusError(message.errorName ?? 'org.freedesktop.DBus.Error.Failed', textOf(message)));
  }

  #receiveUnreadable(message: UnreadableMessage): void {
    message.fds.forEach(this.#closeFd);
    if (message.type === 'call') {
      if ((message.flags & FLAG_NO_REPLY) === 0) this.#events.unreadable(message, this);
      return;
    }
    this.#calls
      .get(message.replySerial ?? 0)
      ?.reject(new UnavailableError(`an answer on the bus cannot be read: ${message.reason}`));
  }

  #end(error: Error | null): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (error !== null) this.#stream[Symbol.dispose]();
    this.#framer.takeLeftovers().forEach(this.#closeFd);
    this.#auth?.destroy(error ?? undefined);
    const reason = error ?? new UnavailableError('the connection to the bus is closed');
    for (const pending of this.#calls.values()) pending.reject(reason);
    this.#matches.clear();
    if (this.#isUp) this.#events.closed(error);
  }
}

function textOf({ body }: IncomingMessage): string {
  return typeof body[0] === 'string' ? body[0] : '';
}
