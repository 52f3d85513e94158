/**
 * HTTP to registries: TLS and proxies by host, redirects that never carry credentials to another origin, and quick
 * retries of what is known to pass (a busy or restarting server). Credentials are the caller's business.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Agent, ProxyAgent, request, type Dispatcher } from 'undici';
import type { Clock } from '../../base/clock.ts';
import { errnoCodeOf } from '../../base/errors.ts';
import { MAX_ERROR_BODY_BYTES, networkError, refusalOf, type RegistryRefusal } from './failures.ts';

export interface TransportOptions {
  readonly clock: Clock;
  readonly userAgent: string;
  readonly proxies: ProxyRules;
  /** Docker's `certs.d`: `<dir>/<host[:port]>/*.crt` (authorities), `*.cert` with `*.key` (client). Null for none. */
  readonly certificatesDirectory: string | null;
  /** A number in [0, 1): spreads retries. */
  readonly random: () => number;
}

/** Proxies for registry traffic; '' for none. */
export interface ProxyRules {
  readonly http: string;
  readonly https: string;
  /** Comma-separated hosts, domains (`.example.com`), `host:port` or `*`, as in NO_PROXY. */
  readonly none: string;
}

export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly verifyTls: boolean;
  /** How often a passing failure is tried again. */
  readonly retries: number;
  readonly signal: AbortSignal | undefined;
}

/** An answer whose body is still to be read (or dropped). */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** As dockerd's dialer. */
const CONNECT_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 60_000;
/** A stalled link is given up after this and resumed by the caller. */
const BODY_STALL_TIMEOUT_MS = 60_000;
const FIRST_RETRY_DELAY_MS = 300;
/** A server that asks for more patience than this is answered as an error at once. */
const MAX_RETRY_DELAY_MS = 20_000;
const PASSING_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const PASSING_FAULTS: ReadonlySet<string | null> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Sends a request and follows redirects. UnavailableError in Go's words when no answer comes. */
  async send(exchange: Exchange): Promise<Answer> {
    for (let attempt = 0; ; attempt += 1) {
      let delayMs: number | null;
      try {
        const answer = await this.#follow(exchange);
        delayMs = PASSING_STATUSES.has(answer.status) ? this.#delay(attempt, retryAfterMs(answer)) : null;
        if (delayMs === null || attempt >= exchange.retries) return answer;
        drop(answer.body);
      } catch (error) {
        exchange.signal?.throwIfAborted();
        delayMs = PASSING_FAULTS.has(errnoCodeOf(error)) ? this.#delay(attempt, null) : null;
        if (delayMs === null || attempt >= exchange.retries) throw networkError(exchange.method, exchange.url, error);
      }
      await this.#options.clock.sleep(delayMs, exchange.signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const dispatchers = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    for (const dispatcher of dispatchers) await (await dispatcher).destroy();
  }

  async #follow(exchange: Exchange): Promise<Answer> {
    let url = exchange.url;
    let headers: Readonly<Record<string, string>> = { ...exchange.headers, 'user-agent': this.#options.userAgent };
    for (let redirects = 0; ; redirects += 1) {
      const reply = await request(url, {
        dispatcher: await this.#dispatcherFor(new URL(url), exchange.verifyTls),
        method: exchange.method,
        headers,
        ...(exchange.body === undefined ? {} : { body: exchange.body }),
        ...(exchange.signal === undefined ? {} : { signal: exchange.signal }),
      });
      const location = headerOf(reply.headers, 'location');
      // A POST carries a refresh token in its body: it goes nowhere else.
      const isFollowed = REDIRECTS.has(reply.statusCode) && exchange.method !== 'POST';
      if (!isFollowed || location === null) {
        const { statusCode: status, statusText, body } = reply;
        return { status, statusText, headers: reply.headers, body };
      }
      drop(reply.body);
      if (redirects >= MAX_REDIRECTS) throw new Error(`stopped after ${String(MAX_REDIRECTS)} redirects`);
      const next = new URL(location, url);
      if (next.origin !== new URL(url).origin) headers = withoutCredentials(headers);
      url = next.href;
    }
  }

  #delay(attempt: number, asked: number | null): number | null {
    const backOff = FIRST_RETRY_DELAY_MS * 2 ** attempt * (0.5 + this.#options.random());
    const delay = asked ?? backOff;
    return delay > MAX_RETRY_DELAY_MS ? null : delay;
  }

  #dispatcherFor(url: URL, verifyTls: boolean): Promise<Dispatcher> {
    const proxy = proxyFor(url, this.#options.proxies);
    const key = `${url.protocol}${url.host} ${String(verifyTls)} ${proxy}`;
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = this.#makeDispatcher(url, verifyTls, proxy);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }

  async #makeDispatcher(url: URL, verifyTls: boolean, proxy: string): Promise<Dispatcher> {
    const certificates = url.protocol === 'https:' ? await this.#certificates(url.host) : {};
    const tls = { rejectUnauthorized: verifyTls, timeout: CONNECT_TIMEOUT_MS, ...certificates };
    const timeouts = { headersTimeout: HEADERS_TIMEOUT_MS, bodyTimeout: BODY_STALL_TIMEOUT_MS };
    if (proxy === '') return new Agent({ ...timeouts, allowH2: false, connect: tls });
    return new ProxyAgent({ ...timeouts, uri: proxy, requestTls: tls });
  }

  async #certificates(host: string): Promise<{ ca?: Buffer[]; cert?: Buffer; key?: Buffer }> {
    const directory = this.#options.certificatesDirectory;
    if (directory === null) return {};
    const files = await readdir(join(directory, host)).catch((): string[] => []);
    const read = async (name: string): Promise<Buffer> => readFile(join(directory, host, name));
    const authorities = await Promise.all(files.filter((name) => name.endsWith('.crt')).map(read));
    const client = files.find((name) => name.endsWith('.cert') && files.includes(name.replace(/\.cert$/, '.key')));
    return {
      ...(authorities.length === 0 ? {} : { ca: authorities }),
      ...(client === undefined ? {} : { cert: await read(client), key: await read(client.replace(/\.cert$/, '.key')) }),
    };
  }
}

/** A header's only (or first) value. */
export function headerOf(headers: Answer['headers'], name: string): string | null {
  const value = headers[name];
  return (typeof value === 'string' ? value : value?.[0]) ?? null;
}

/** Reads a body that must be small. Throws when it is larger than `limitBytes`. */
export async function readBody(body: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`http: response body is larger than ${String(limitBytes)} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Reads what an answer refuses with. */
export async function readRefusal(answer: Answer): Promise<RegistryRefusal> {
  const body = await readBody(answer.body, MAX_ERROR_BODY_BYTES).catch(() => Buffer.alloc(0));
  const { status, statusText, headers } = answer;
  return refusalOf({ status, statusText, challengeHeader: headers['www-authenticate'] }, body.toString('utf8'));
}

/** Lets a body that nobody wants go, and its connection back to the pool where it is short. */
export function drop(body: Readable): void {
  body.on('error', () => undefined);
  body.resume();
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { authorization: _, ...rest } = headers;
  return rest;
}

function retryAfterMs(answer: Answer): number | null {
  const value = headerOf(answer.headers, 'retry-after');
  return value !== null && /^\d+$/.test(value) ? Number(value) * 1000 : null;
}

function proxyFor(url: URL, rules: ProxyRules): string {
  const proxy = url.protocol === 'https:' ? rules.https : rules.http;
  if (proxy === '' || isLoopback(url.hostname)) return '';
  const host = url.hostname.toLowerCase();
  const isExempt = rules.none
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some(
      (entry) =>
        entry === '*' || entry === host || entry === url.host || (entry !== '' && host.endsWith(dotted(entry))),
    );
  return isExempt ? '' : proxy.includes('://') ? proxy : `http://${proxy}`;
}

function dotted(domain: string): string {
  return domain.startsWith('.') ? domain : `.${domain}`;
}

/** Go's ProxyFromEnvironment never proxies the machine itself. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
