/**
 * A registry that takes uploads by the letter of the distribution-spec, sessions that go on after a cut included (which
 * docker-registry's do not), and that can be told to misbehave. Blobs and sessions are maps.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UploadRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** How many requests of this method came before. */
  readonly earlier: number;
}

/** What to do with a request in place of serving it. */
export type UploadFault =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Keep this many bytes of the body, then cut the connection. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Serve it, and cut the connection in place of the answer. */
  | { readonly kind: 'forget-answer' };

export interface UploadRegistryOptions {
  readonly decide?: (request: UploadRequest) => UploadFault | null;
  /** How a session's address is written; by default absolute, with a query of its own. */
  readonly locationOf?: (path: string, host: string) => string;
}

export class UploadRegistry implements AsyncDisposable {
  readonly requests: UploadRequest[] = [];
  readonly blobs = new Map<string, Buffer>();
  /** Bodies' bytes that were taken, over all requests. */
  takenBytes = 0;
  /** What came of each, piece by piece. */
  readonly #sessions = new Map<string, Buffer[]>();
  readonly #options: UploadRegistryOptions;
  readonly #server: Server;

  private constructor(options: UploadRegistryOptions) {
    this.#options = options;
    this.#server = createServer((incoming, answer) => void this.#serve(incoming, answer));
  }

  static async start(options: UploadRegistryOptions = {}): Promise<UploadRegistry> {
    const registry = new UploadRegistry(options);
    const { promise, resolve } = Promise.withResolvers<void>();
    registry.#server.listen(0, '127.0.0.1', () => resolve());
    await promise;
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  get openSessions(): number {
    return this.#sessions.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  async #serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/', headers } = incoming;
    const earlier = this.requests.filter((past) => past.method === method).length;
    const request = { method, path, headers, earlier };
    this.requests.push(request);
    const fault = this.#options.decide?.(request) ?? null;
    if (fault?.kind === 'answer') {
      incoming.resume();
      answer.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    const url = new URL(path, 'http://x');
    const session = /\/uploads\/(\w+)$/.exec(url.pathname)?.[1] ?? '';
    const limit = fault?.kind === 'cut' ? fault.afterBytes : Infinity;
    if (!(await this.#take(incoming, session, limit))) return;
    if (fault?.kind === 'forget-answer') {
      this.#answer(request, url, session, { writeHead: () => ({ end: () => undefined }) } as never);
      incoming.socket.destroy();
      return;
    }
    this.#answer(request, url, session, answer);
  }

  /** The body goes into the session as it comes, as a file would grow. False when it was cut off. */
  async #take(incoming: IncomingMessage, session: string, limit: number): Promise<boolean> {
    let taken = 0;
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        const part = chunk.subarray(0, limit - taken);
        taken += part.length;
        this.takenBytes += part.length;
        this.#sessions.get(session)?.push(part);
        if (taken >= limit) {
          incoming.socket.destroy();
          return false;
        }
      }
      return true;
    } catch {
      return false;
    }
  }

  #answer({ method, headers }: UploadRequest, url: URL, session: string, answer: ServerResponse): void {
    const blob = /\/blobs\/(sha256:\w+)$/.exec(url.pathname)?.[1];
    const sofar = this.#sessions.get(session);
    if (url.pathname === '/v2/') answer.writeHead(200).end();
    else if (blob !== undefined) answer.writeHead(this.blobs.has(blob) ? 200 : 404).end();
    else if (method === 'POST') this.#begin(headers, url, answer);
    else if (sofar === undefined) answer.writeHead(404).end('{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}');
    else if (method === 'PUT') this.#close(session, Buffer.concat(sofar), url, answer);
    else if (method === 'DELETE') {
      this.#sessions.delete(session);
      answer.writeHead(204).end();
    } else {
      const range = `0-${String(Math.max(0, Buffer.concat(sofar).length - 1))}`;
      const location = this.#locationOf(url.pathname, headers);
      answer.writeHead(method === 'GET' ? 204 : 202, { range, location }).end();
    }
  }

  #begin(headers: IncomingMessage['headers'], url: URL, answer: ServerResponse): void {
    const session = `s${String(this.requests.length)}`;
    this.#sessions.set(session, []);
    answer.writeHead(202, { location: this.#locationOf(url.pathname + session, headers) }).end();
  }

  #close(session: string, bytes: Buffer, url: URL, answer: ServerResponse): void {
    this.#sessions.delete(session);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (url.searchParams.get('digest') !== digest) {
      answer.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}');
      return;
    }
    this.blobs.set(digest, bytes);
    answer.writeHead(201, { 'docker-content-digest': digest, location: `/v2/x/blobs/${digest}` }).end();
  }

  #locationOf(path: string, { host = '' }: IncomingMessage['headers']): string {
    return this.#options.locationOf?.(path, host) ?? `http://${host}${path}?_state=a%2Fb+c%3D`;
  }
}
