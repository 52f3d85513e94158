import { IncomingMessage, request } from 'node:http';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Socket } from 'node:net';
import type { JsonObject, JsonValue } from '../base/json.ts';
import { errnoCodeOf } from '../base/errors.ts';
import type { Endpoint } from './endpoint.ts';
import { DaemonError, ExitError } from './errors.ts';
import { objectOf, parseJson, textOf } from './json.ts';

/** A list gives the parameter once for each value. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** The Engine API over one endpoint; a connection each call. Errors: {@link DaemonError}, or ExitError without a daemon. */
export class ApiClient {
  readonly #endpoint: Endpoint;
  readonly #host: string;

  constructor(endpoint: Endpoint, host: string) {
    this.#endpoint = endpoint;
    this.#host = host;
  }

  async get(path: string, query: Query = {}): Promise<JsonValue> {
    return readJson(await this.stream('GET', path, query));
  }

  async post(path: string, query: Query = {}, body?: JsonObject): Promise<JsonValue> {
    return readJson(await this.stream('POST', path, query, body));
  }

  async delete(path: string, query: Query = {}): Promise<JsonValue> {
    return readJson(await this.stream('DELETE', path, query));
  }

  /** Resolves with the answer as soon as its head is there; its body is the caller's to read. */
  async stream(
    method: string,
    path: string,
    query: Query = {},
    body?: JsonObject | Readable,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request({ ...this.#options(method, path, query), headers: headersFor(body) });
    outgoing.once('response', resolve).once('error', reject);
    if (body === undefined) outgoing.end();
    else if (isReadable(body)) pipeline(body, outgoing).catch(reject);
    else outgoing.end(JSON.stringify(body));
    return accepted(await this.#reachable(promise));
  }

  /** POSTs and takes the connection over: its bytes are the container's from then on. */
  async takeOver(path: string, query: Query = {}, body?: JsonObject): Promise<Socket> {
    const { promise, resolve, reject } = Promise.withResolvers<Socket | IncomingMessage>();
    const headers = { ...headersFor(body), Connection: 'Upgrade', Upgrade: 'tcp' };
    const outgoing = request({ ...this.#options('POST', path, query), headers });
    outgoing.once('upgrade', (_answer, socket, head) => {
      // The stream begins with what came along with the answer's head; put back at once, before an end can overtake it.
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once('response', resolve).once('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const answer = await this.#reachable(promise);
    if (!(answer instanceof IncomingMessage)) return answer;
    (await accepted(answer)).destroy();
    throw new ExitError(125, 'the daemon did not take the connection over');
  }

  #options(method: string, path: string, query: Query): object {
    const parameters = Object.entries(query).flatMap(([name, value]) =>
      [value ?? []].flat().map((one) => `${name}=${encodeURIComponent(one)}`),
    );
    const target = parameters.length === 0 ? path : `${path}?${parameters.join('&')}`;
    return { ...this.#endpoint, method, path: target, agent: false };
  }

  async #reachable<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code === 'EACCES') {
        throw new ExitError(
          1,
          `permission denied while trying to connect to the Docker daemon socket at ${this.#host}`,
        );
      }
      if (code === 'ENOENT' || code === 'ECONNREFUSED') {
        throw new ExitError(1, `Cannot connect to the Docker daemon at ${this.#host}. Is the docker daemon running?`);
      }
      throw error;
    }
  }
}

/** The part of a path that stands for an id or a name. */
export function segment(text: string): string {
  return encodeURIComponent(text);
}

function isReadable(body: JsonObject | Readable): body is Readable {
  return typeof (body as { pipe?: unknown }).pipe === 'function';
}

function headersFor(body: JsonObject | Readable | undefined): OutgoingHttpHeaders {
  const headers = { Host: 'docker', 'User-Agent': 'moor' };
  if (body === undefined) return headers;
  return isReadable(body)
    ? { ...headers, 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' }
    : { ...headers, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(JSON.stringify(body)) };
}

async function accepted(answer: IncomingMessage): Promise<IncomingMessage> {
  const status = answer.statusCode ?? 0;
  if (status < 400) return answer;
  const text = await readText(answer);
  throw new DaemonError(status, messageIn(text) ?? (text.trim() === '' ? `status ${String(status)}` : text.trim()));
}

function messageIn(text: string): string | null {
  try {
    const message = textOf(objectOf(parseJson(text))['message']);
    return message === '' ? null : message;
  } catch {
    return null;
  }
}

async function readJson(answer: IncomingMessage): Promise<JsonValue> {
  const text = await readText(answer);
  return text.trim() === '' ? null : parseJson(text);
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
