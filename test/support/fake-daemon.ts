import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One call as the daemon saw it. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

export type Answer = (call: Call, response: ServerResponse) => void;
/** Speaks on a connection that the client took over; `head` is what came along with the request. */
export type Talk = (call: Call, socket: Socket) => void;

/** A daemon of scripted answers on a socket of its own; it records each call, and refuses what was not scripted. */
export class FakeDaemon implements AsyncDisposable {
  readonly calls: Call[] = [];
  readonly #answers = new Map<string, Answer>();
  readonly #talks = new Map<string, Talk>();
  readonly #server = createServer((request, response) => void this.#onRequest(request, response));
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      this.#onUpgrade(request, socket);
    });
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), 'moored-fake-daemon-')));
    const { promise, resolve } = Promise.withResolvers<void>();
    daemon.#server.listen(daemon.#socketPath, resolve);
    await promise;
    return daemon;
  }

  get host(): string {
    return `unix://${this.#socketPath}`;
  }

  /** Answers `METHOD /path` from now on. */
  on(route: string, answer: Answer | object): this {
    this.#answers.set(route, typeof answer === 'function' ? (answer as Answer) : json(200, answer));
    return this;
  }

  /** Upgrades `POST /path` and hands the connection to `talk`. */
  onUpgrade(route: string, talk: Talk): this {
    this.#talks.set(route, talk);
    return this;
  }

  /** The calls in their order, as `METHOD /path`. */
  get routes(): readonly string[] {
    return this.calls.map(({ method, path }) => `${method} ${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.#folder, { recursive: true });
  }

  get #socketPath(): string {
    return join(this.#folder, 'sock');
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const call = this.#record(request, body);
    const answer =
      this.#answers.get(`${call.method} ${call.path}`) ?? json(404, { message: `no script: ${call.path}` });
    answer(call, response);
  }

  #onUpgrade(request: IncomingMessage, socket: Socket): void {
    const call = this.#record(request, '');
    const talk = this.#talks.get(`${call.method} ${call.path}`);
    if (talk === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\n{"message":"no script"} ');
      return;
    }
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    talk(call, socket);
  }

  #record(request: IncomingMessage, body: string): Call {
    const url = new URL(request.url ?? '/', 'http://docker');
    const call = { method: request.method ?? '', path: url.pathname, query: url.searchParams, body };
    this.calls.push(call);
    return call;
  }
}

export function json(status: number, value: object): Answer {
  return (_call, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  };
}

/** One frame of the multiplexed stream: 1 stdout, 2 stderr. */
export function frame(stream: 1 | 2, payload: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(payload), 4);
  return Buffer.concat([header, Buffer.from(payload)]);
}
