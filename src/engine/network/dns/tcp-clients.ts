/** Connections of one container to its name server. */
import { Socket } from 'node:net';
import type { Clock } from '../../../base/clock.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { FrameReader, framed } from './framed.ts';

/** More are hung up on. */
const MAX_CONNECTIONS = 64;
/** A connection on which nothing is asked is closed (RFC 7766 §6.2.3). */
const IDLE_MS = 10_000;
/** A client that asks more without listening to the answers is read no further. */
const MAX_UNREAD_BYTES = 256 * 1024;

/** Answers a question; `respond` may be called later, or never. */
export type Asked = (message: Buffer, respond: (answer: Buffer) => void) => void;

/** The connections that are open. */
export class TcpClients implements Disposable {
  readonly #clock: Clock;
  readonly #asked: Asked;
  readonly #open = new Set<Client>();

  constructor(clock: Clock, asked: Asked) {
    this.#clock = clock;
    this.#asked = asked;
  }

  /** Takes over an accepted connection; false when there is no room for it, and the caller closes it. */
  add(fd: Fd): boolean {
    if (this.#open.size >= MAX_CONNECTIONS) return false;
    const client = new Client(fd, this.#clock, this.#asked, () => this.#open.delete(client));
    this.#open.add(client);
    return true;
  }

  [Symbol.dispose](): void {
    for (const client of this.#open) client[Symbol.dispose]();
  }
}

class Client implements Disposable {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #reader = new FrameReader();
  #idle: Disposable;
  #unanswered = 0;
  #hasEnded = false;

  constructor(fd: Fd, clock: Clock, asked: Asked, onClose: () => void) {
    this.#clock = clock;
    this.#socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
    this.#idle = this.#startIdle();
    this.#socket
      .on('error', () => undefined)
      .on('close', () => {
        this.#idle[Symbol.dispose]();
        onClose();
      })
      .on('drain', () => this.#socket.resume())
      .on('end', () => {
        this.#hasEnded = true;
        this.#endWhenAnswered();
      })
      .on('data', (chunk: Buffer) => {
        for (const message of this.#reader.take(chunk)) this.#take(message, asked);
      });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(message: Buffer, asked: Asked): void {
    this.#idle[Symbol.dispose]();
    this.#idle = this.#startIdle();
    this.#unanswered += 1;
    asked(message, (answer) => this.#respond(answer));
  }

  #respond(answer: Buffer): void {
    this.#unanswered -= 1;
    if (this.#socket.destroyed) return;
    this.#socket.write(framed(answer));
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.#socket.pause();
    this.#endWhenAnswered();
  }

  #endWhenAnswered(): void {
    if (this.#hasEnded && this.#unanswered === 0) this.#socket.end();
  }

  #startIdle(): Disposable {
    return this.#clock.after(IDLE_MS, () => this.#socket.destroy());
  }
}
