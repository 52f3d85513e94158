import { Readable } from 'node:stream';
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { RequestBody } from './body.ts';
import { ProtocolError, parseHead, type RequestHead } from './head.ts';
import { Reply } from './reply.ts';

/** One request with its answer. */
export interface Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly reply: Reply;
  /** Aborted when the client has gone or the server closes. */
  readonly signal: AbortSignal;
  /** From now on the client's half-close is data (the end of stdin), not its departure. */
  expectTakeOver(): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Text of the `Date` field. */
  readonly date: () => string;
  /** Answers one request; never rejects. The exchange ends when it settles. */
  readonly answer: (exchange: Exchange) => Promise<void>;
  readonly onClose: (connection: Connection) => void;
}

/** dockerd's own `ReadHeaderTimeout`. */
const HEAD_TIMEOUT_MS = 300_000;
/** Go's: after an answer sent early, so much of an unread body is read and dropped to keep the connection. */
const MAX_DRAINED_BYTES = 256 * 1024;
/** Go's: how long an ended connection waits for the client to read the last answer before it is cut. */
const LINGER_MS = 500;
/** Pipelined requests and early stdin that wait in memory before we stop reading. */
const MAX_PENDING_BYTES = 256 * 1024;

const EMPTY = Buffer.alloc(0);

/**
 * One client's connection, HTTP/1.1 by hand over a socket with `allowHalfOpen`: requests one after another (also
 * pipelined), keep-alive, `100 Continue`, and the take-over by which Docker's attach and exec get raw bytes both ways.
 * Why not node:http: docs/decisions/0050-own-http-server.md.
 *
 *   idle ──head──► busy ──answer settled, body read──► idle
 *                   └──takeOver──► taken-over ──answer settled──► closing
 */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #pending: Buffer = EMPTY;
  #phase: 'idle' | 'busy' | 'taken-over' | 'closing' = 'idle';
  #body: RequestBody | null = null;
  #gone = new AbortController();
  #input: Readable | null = null;
  #isHalfClosed = false;
  #takeOverExpected = false;
  #closesAfter = false;
  #drained: number | null = null;
  #awaitsContinue = false;
  #drain: PromiseWithResolvers<void> | null = null;
  #headTimer: Disposable | null = null;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.#onEnd());
    socket.on('drain', () => this.#releaseWriters());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
  }

  /** Ends the connection: idle at once, busy after its signal was aborted and its answer is through. */
  shutDown(): void {
    this.#closesAfter = true;
    if (this.#phase === 'idle') this.#socket.destroy();
    else this.#gone.abort(new Error('the server is closing'));
  }

  /** Cuts the connection now. */
  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#phase === 'closing') return;
    if (this.#phase === 'taken-over') {
      this.#feedInput(chunk);
      return;
    }
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#advance();
  }

  /** Does with the pending bytes what the phase allows. */
  #advance(): void {
    try {
      if (this.#phase === 'idle') this.#readHead();
      if (this.#phase === 'busy') this.#readBody();
    } catch (error) {
      this.#refuse(error);
    }
    if (this.#phase === 'busy' && this.#body?.isComplete === true && this.#pending.length > MAX_PENDING_BYTES) {
      this.#socket.pause();
    }
  }

  #readHead(): void {
    if (this.#pending.length === 0) return;
    const parsed = parseHead(this.#pending);
    if (parsed === null) {
      if (this.#isHalfClosed) this.#close();
      this.#headTimer ??= this.#options.clock.after(HEAD_TIMEOUT_MS, () => this.#socket.destroy());
      return;
    }
    this.#headTimer?.[Symbol.dispose]();
    this.#headTimer = null;
    this.#pending = this.#pending.subarray(parsed.length);
    this.#begin(parsed.head);
  }

  #begin(head: RequestHead): void {
    this.#phase = 'busy';
    this.#gone = new AbortController();
    this.#takeOverExpected = false;
    this.#drained = null;
    this.#closesAfter ||= !head.keepAlive;
    this.#awaitsContinue = head.framing.kind !== 'none' && head.fields.get('expect')?.toLowerCase() === '100-continue';
    const body = new RequestBody(head.framing, { onWanted: () => this.#onBodyWanted() });
    this.#body = body;
    const reply = new Reply(this.#channel(head), this.#options.date);
    const exchange: Exchange = {
      head,
      body,
      reply,
      signal: this.#gone.signal,
      expectTakeOver: () => {
        this.#takeOverExpected = true;
      },
    };
    void this.#options.answer(exchange).then(() => this.#onAnswered(reply));
  }

  #channel(head: RequestHead): ConstructorParameters<typeof Reply>[0] {
    const isClosing = (): boolean => this.#closesAfter;
    const socket = this.#socket;
    return {
      minorVersion: head.minorVersion,
      isHead: head.method === 'HEAD',
      get closes() {
        return isClosing();
      },
      get isFlushed() {
        return socket.writableLength === 0;
      },
      write: (bytes) => {
        // Whoever answers without having read the body does not want it any more.
        if (this.#awaitsContinue) {
          this.#awaitsContinue = false;
          this.#closesAfter = true;
        }
        return this.#write(bytes);
      },
      closeAfterwards: () => {
        this.#closesAfter = true;
      },
      takeOver: () => this.#takeOver(),
    };
  }

  #readBody(): void {
    const body = this.#body;
    if (body === null || body.isComplete) return;
    const taken = body.feed(this.#pending);
    this.#pending = this.#pending.subarray(taken);
    if (this.#drained !== null) {
      this.#drained += taken;
      if (this.#drained > MAX_DRAINED_BYTES) this.#close();
      else if (taken > 0 && this.#isBodyComplete()) this.#next();
      return;
    }
    if (!this.#isBodyComplete() && !body.wantsMore) this.#socket.pause();
  }

  #isBodyComplete(): boolean {
    return this.#body?.isComplete ?? true;
  }

  #onBodyWanted(): void {
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false;
      void this.#write('HTTP/1.1 100 Continue\r\n\r\n');
    }
    this.#socket.resume();
  }

  #takeOver(): Readable {
    this.#phase = 'taken-over';
    this.#awaitsContinue = false;
    const input = new Readable({ read: () => this.#socket.resume(), highWaterMark: 256 * 1024 });
    input.on('error', () => undefined);
    this.#input = input;
    const early = this.#pending;
    this.#pending = EMPTY;
    if (early.length > 0) input.push(early);
    if (this.#isHalfClosed) input.push(null);
    else this.#socket.resume();
    return input;
  }

  #feedInput(chunk: Buffer): void {
    const input = this.#input;
    // Nobody reads (any more): keep reading the socket so that its end is noticed.
    if (input === null || input.destroyed) return;
    if (!input.push(chunk)) this.#socket.pause();
  }

  /** The handler has done its work: next request, or the end. */
  #onAnswered(reply: Reply): void {
    if (this.#phase === 'taken-over' || this.#closesAfter || !reply.isEnded) {
      this.#close();
      return;
    }
    const body = this.#body;
    if (body === null || body.isComplete) {
      this.#next();
      return;
    }
    this.#drained = 0;
    body.destroy();
    this.#socket.resume();
    this.#advance();
  }

  #next(): void {
    this.#body = null;
    this.#phase = 'idle';
    if (this.#isHalfClosed && this.#pending.length === 0) {
      this.#close();
      return;
    }
    this.#socket.resume();
    // A pipelined request may wait; not recursive, since a thousand may.
    if (this.#pending.length > 0) queueMicrotask(() => this.#advance());
  }

  /** Half-closes and waits shortly: cutting at once would throw the last answer away in the client's face. */
  #close(): void {
    if (this.#phase === 'closing') return;
    this.#phase = 'closing';
    this.#pending = EMPTY;
    // The time runs once all is with the kernel: a long answer may take its reader longer than that.
    this.#socket.end(() => this.#linger());
    this.#socket.resume();
  }

  #linger(): void {
    if (this.#isHalfClosed || this.#socket.destroyed) return;
    const timer = this.#options.clock.after(LINGER_MS, () => this.#socket.destroy());
    this.#socket.once('close', () => timer[Symbol.dispose]());
  }

  #refuse(error: unknown): void {
    const { status, message } = error instanceof ProtocolError ? error : new ProtocolError(400, 'Bad Request');
    this.#body?.destroy(error instanceof Error ? error : new Error(message));
    if (this.#phase === 'busy') this.#gone.abort(error);
    else {
      const body = `${String(status)} ${message}`;
      void this.#write(
        `HTTP/1.1 ${String(status)} ${message}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${body}`,
      );
    }
    this.#close();
  }

  #onEnd(): void {
    this.#isHalfClosed = true;
    switch (this.#phase) {
      case 'taken-over':
        this.#input?.push(null);
        return;
      case 'busy':
        if (this.#body?.isComplete === false) this.#body.destroy(new Error('unexpected EOF'));
        // Go's rule: the end of a client's sending half is its going away, unless it is the end of stdin.
        if (!this.#takeOverExpected) this.#gone.abort(new Error('the client has gone'));
        return;
      case 'idle':
      case 'closing':
        this.#socket.end();
    }
  }

  #onClose(): void {
    this.#headTimer?.[Symbol.dispose]();
    this.#body?.destroy(this.#body.isComplete ? undefined : new Error('unexpected EOF'));
    if (this.#input !== null && !this.#input.readableEnded) this.#input.destroy();
    this.#gone.abort(new Error('the client has gone'));
    this.#releaseWriters();
    this.#options.onClose(this);
  }

  #write(bytes: Buffer | string): void | Promise<void> {
    if (!this.#socket.writable) return;
    if (typeof bytes === 'string' ? this.#socket.write(bytes, 'latin1') : this.#socket.write(bytes)) return;
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  #releaseWriters(): void {
    this.#drain?.resolve();
    this.#drain = null;
  }
}
