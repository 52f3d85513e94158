/**
 * conmon's sync pipe: one JSON object a line, `{"data": 1234}` or `{"data": -1, "message": "…"}`. For a container
 * there is one line, the pid (or -1 and what the runtime wrote to stderr); for an exec a second one follows, the exit
 * code. conmon holds its end open for as long as it lives, so that the pipe's end is conmon's end.
 */
import { Socket } from 'node:net';
import type { Fd } from '../../kernel/kernel.ts';

/** One line of the pipe. */
export interface SyncMessage {
  readonly data: number;
  readonly message: string;
}

/** Reads messages one by one; owns the fd. */
export class SyncPipe implements Disposable {
  readonly #socket: Socket;
  readonly #lines: SyncMessage[] = [];
  #rest = '';
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(fd: Fd) {
    this.#socket = new Socket({ fd, readable: true, writable: false });
    // An exec that goes on must not keep an engine that has been told to end.
    this.#socket.unref();
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => this.#take(text));
    this.#socket.on('error', () => this.#end());
    this.#socket.on('close', () => this.#end());
  }

  /** The next message; null when conmon has ended without another. */
  async next(): Promise<SyncMessage | null> {
    for (;;) {
      const message = this.#lines.shift();
      if (message !== undefined) return message;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#lines.push(parse(line));
    this.#notify();
  }

  #end(): void {
    this.#ended = true;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

function parse(line: string): SyncMessage {
  try {
    const { data, message } = JSON.parse(line) as { data?: unknown; message?: unknown };
    if (typeof data === 'number') return { data, message: typeof message === 'string' ? message : '' };
  } catch {
    // Old conmons do not escape everything; the text is still worth showing.
  }
  return { data: -1, message: line };
}
