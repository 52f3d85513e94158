/**
 * The attach socket of one monitored process (`<bundle>/attach`, SOCK_SEQPACKET). A packet from conmon is one read of
 * the process's output:
 *
 *   byte 0     2 stdout, 3 stderr
 *   byte 1…    up to 8 KiB of output
 *
 * A packet to conmon is input for the process's stdin, up to 32 KiB; shutting the writing side down closes stdin
 * unless conmon was told to leave it open.
 *
 * All sessions of a process share one connection. conmon accepts one connection a turn of its loop, so that of several
 * made just before the start only the first would be sure to get the first output; and any connection's end closes a
 * stdin that is not to be left open, also that of a client which never wrote. conmon waits for a slow reader anyway, so
 * sharing costs no independence.
 *
 * A reader that is slow slows the process down, as at any pipe, and loses nothing; so it is in dockerd, whose buffer of
 * 1 MB only puts it off. One that takes nothing at all is waited for as long as it is alone; where others wait with it, it
 * is let go after {@link PATIENCE_MS}.
 */
import { Writable, type Duplex } from 'node:stream';
import type { Clock } from '../../../base/clock.ts';
import { ConflictError, UnavailableError } from '../../../base/errors.ts';
import type { OutputSink, OutputStream } from '../../oci/streams.ts';
import type { AttachSession } from '../monitor.ts';
import { Gathering } from './gathering.ts';

/** conmon reads this much of a packet and drops the rest. */
const MAX_INPUT_PACKET = 32_768;
const STDERR_BYTE = 3;
/** How long sessions wait for another one's sink. */
const PATIENCE_MS = 30_000;

/** How a process's stdin behaves. */
export interface StdinNature {
  readonly stdin: boolean;
  /** `end()` and a detaching writer close it. */
  readonly closable: boolean;
}

export interface HubSurroundings {
  readonly clock: Clock;
  /** Called once, when the next session needs a connection of its own. */
  readonly onClosing: () => void;
}

/** The one connection of a process, and its sessions. */
export class AttachHub {
  readonly #socket: Duplex;
  readonly #nature: StdinNature;
  readonly #sessions = new Set<Session>();
  readonly #onClosing: () => void;
  readonly #clock: Clock;
  readonly #gathering: Gathering;
  #input: Promise<void> = Promise.resolve();
  #inputClosed = false;
  #ended = false;
  /** Chunks being delivered to slow sinks. */
  #delivering = 0;

  constructor(socket: Duplex, nature: StdinNature, { clock, onClosing }: HubSurroundings) {
    this.#socket = socket;
    this.#nature = nature;
    this.#clock = clock;
    this.#onClosing = onClosing;
    this.#gathering = new Gathering(clock, (stream, chunk) => this.#deliver(stream, chunk));
    socket.pause();
    socket.on('data', (packet: Buffer) => {
      this.#gathering.add(packet[0] === STDERR_BYTE ? 'stderr' : 'stdout', packet.subarray(1));
    });
    socket.on('end', () => socket.destroy());
    // A monitor that was killed resets the connection: the end, like any other.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#end());
  }

  /** ConflictError when the process has closed its output. */
  join(): AttachSession {
    if (this.#ended) throw new ConflictError('process has ended');
    const session = new Session(this);
    this.#sessions.add(session);
    this.#flow();
    return session;
  }

  /** Called by sessions whenever they have become able to take output. */
  sessionReady(): void {
    this.#flow();
  }

  /** Called by sessions that go. */
  leave(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    if (session.usedStdin && this.#nature.closable) this.closeInput();
    const closingWouldEndStdin = this.#nature.closable && !this.#inputClosed;
    if (this.#sessions.size === 0 && !closingWouldEndStdin) {
      // Whoever comes next gets a connection of his own, whose output begins then.
      this.#onClosing();
      void this.#input.then(() => this.#socket.destroy());
    }
    this.#flow();
  }

  /** Sends input in order, one packet at a time: the socket would join waiting writes to one too long packet. */
  send(chunk: Uint8Array): Promise<void> {
    if (!this.#nature.stdin) return Promise.resolve();
    this.#input = this.#input.then(async () => {
      for (let offset = 0; offset < chunk.length && !this.#inputClosed; offset += MAX_INPUT_PACKET) {
        await this.#sendPacket(chunk.subarray(offset, offset + MAX_INPUT_PACKET));
      }
    });
    return this.#input;
  }

  closeInput(): void {
    if (!this.#nature.closable) return;
    this.#input = this.#input.then(() => {
      if (this.#inputClosed) return;
      this.#inputClosed = true;
      this.#socket.end();
    });
  }

  #sendPacket(packet: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#socket.off('close', settle);
        resolve();
      };
      // Input for a process that has gone is lost, as on any pipe.
      if (this.#socket.destroyed) {
        resolve();
        return;
      }
      this.#socket.once('close', settle);
      this.#socket.write(packet, settle);
    });
  }

  /** False when somebody is slow and goes on looking at the chunk. */
  #deliver(stream: OutputStream, chunk: Buffer): boolean {
    const slow: Promise<void>[] = [];
    for (const session of this.#sessions) {
      const pending = session.take(stream, chunk);
      if (pending !== null) slow.push(pending);
    }
    if (slow.length === 0) return true;
    void this.#waitFor(slow);
    return false;
  }

  async #waitFor(slow: readonly Promise<void>[]): Promise<void> {
    this.#delivering += 1;
    this.#socket.pause();
    using _timer = new Repeating(this.#clock, PATIENCE_MS, () => this.#letStuckGo());
    await Promise.all(slow);
    this.#delivering -= 1;
    this.#flow();
  }

  /** Called when some session has taken nothing for too long. */
  #letStuckGo(): void {
    if (this.#sessions.size < 2) return;
    for (const session of this.#sessions) session.giveUpWhenStuck();
  }

  /** Output flows while no sink is busy and every session has said where to. */
  #flow(): void {
    if (this.#ended) return;
    const waiting = [...this.#sessions].some((session) => !session.isPiping);
    if (waiting || this.#delivering > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  #end(): void {
    if (this.#ended) return;
    this.#gathering.flush();
    this.#gathering[Symbol.dispose]();
    this.#ended = true;
    this.#inputClosed = true;
    for (const session of this.#sessions) session.finish();
    this.#sessions.clear();
    this.#onClosing();
  }
}

/** Calls back again and again until it is disposed of. */
class Repeating implements Disposable {
  #timer: Disposable;

  constructor(clock: Clock, intervalMs: number, callback: () => void) {
    const next = (): Disposable =>
      clock.after(intervalMs, () => {
        this.#timer = next();
        callback();
      });
    this.#timer = next();
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}

class Session implements AttachSession {
  readonly stdin: Writable;
  usedStdin = false;
  readonly #hub: AttachHub;
  readonly #done = Promise.withResolvers<void>();
  #sink: OutputSink | null = null;
  #settled = false;
  /**
   * Chunks that the sink has not taken yet, each by how to end the wait for it: a sink whose client has gone may never
   * answer, and the others must not wait for it.
   */
  readonly #waits = new Set<() => void>();

  constructor(hub: AttachHub) {
    this.#hub = hub;
    this.#done.promise.catch(() => undefined);
    this.stdin = new Writable({
      write: (chunk: Uint8Array, _encoding, callback) => {
        this.usedStdin = true;
        hub.send(chunk).then(() => callback(), callback);
      },
      final: (callback) => {
        this.usedStdin = true;
        hub.closeInput();
        callback();
      },
    });
  }

  get isPiping(): boolean {
    return this.#sink !== null;
  }

  pipe(sink: OutputSink): Promise<void> {
    this.#sink = sink;
    this.#hub.sessionReady();
    return this.#done.promise;
  }

  /** Hands one chunk to the sink; a promise when it is slow. A sink that fails ends this session only. */
  take(stream: OutputStream, chunk: Uint8Array): Promise<void> | null {
    try {
      const pending = this.#sink?.write(stream, chunk);
      if (!(pending instanceof Promise)) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      const taken = (): void => {
        this.#waits.delete(taken);
        resolve();
        if (this.#settled && this.#waits.size === 0) this.#done.resolve();
      };
      this.#waits.add(taken);
      pending.then(taken, (error: unknown) => this.#fail(error));
      return promise;
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  /** The process has closed all its output. */
  finish(): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.#waits.size === 0) this.#done.resolve();
  }

  /** Ends the session when its sink has not taken what it was given. */
  giveUpWhenStuck(): void {
    if (this.#waits.size > 0) this.#fail(new UnavailableError('the client reads nothing while others wait for it'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release();
    this.finish();
    this.#hub.leave(this);
    this.stdin.destroy();
  }

  #fail(error: unknown): void {
    this.#settled = true;
    this.#done.reject(error);
    this.#release();
    this.#hub.leave(this);
  }

  #release(): void {
    for (const taken of [...this.#waits]) taken();
  }
}
