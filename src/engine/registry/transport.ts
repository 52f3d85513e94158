/**
 * HTTP to registries: redirects that never carry credentials to another origin, and quick retries of what is known to
 * pass (a busy or restarting server). Credentials are the caller's business.
 */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip as gunzipCallback } from 'node:zlib';
import { request, type Dispatcher } from 'undici';
import type { Clock } from '../../base/clock.ts';
import { DataLossError, EngineError, errnoCodeOf, ForbiddenError, UnavailableError } from '../../base/errors.ts';
import { Certificates } from './certificates.ts';
import { Connections, type Trust } from './connections.ts';
import { MAX_ERROR_BODY_BYTES, networkError, refusalOf, type RegistryRefusal } from './failures.ts';
import type { ProxyRules } from './proxies.ts';

export interface TransportOptions {
  readonly clock: Clock;
  readonly userAgent: string;
  readonly proxies: ProxyRules;
  /** Docker's `certs.d`; null for none. See {@link Certificates}. */
  readonly certificatesDirectory: string | null;
  /** A number in [0, 1): spreads retries. */
  readonly random: () => number;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A stream is read once: such a request is neither tried again nor sent on by a redirect. */
export type RequestBody = string | Buffer | Readable;

export interface Exchange {
  readonly method: Method;
  readonly url: string;
  /** With a stream as body, its `content-length` where it is known; chunks otherwise. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly trust: Trust;
  /** How often a passing failure is tried again. */
  readonly retries: number;
  /**
   * How long the body of the answer may take as a whole, where it is small: a server that sends a byte now and then does
   * not hold anybody. Default: as long as bytes come.
   */
  readonly bodyWithinMs?: number;
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
/** Until the head of an answer is there in full, however slowly it comes. */
const READ_HEADERS_TIMEOUT_MS = 60_000;
/** A registry may copy gigabytes into its store before it answers to the end of an upload. */
const WRITE_HEADERS_TIMEOUT_MS = 600_000;
/** A stalled link is given up after this and resumed by the caller. */
const BODY_STALL_TIMEOUT_MS = 60_000;
/** What a refusal says is short, whatever it refuses. */
const ERROR_BODY_WITHIN_MS = 60_000;
const FIRST_RETRY_DELAY_MS = 300;
/** A server that asks for more patience than this is answered as an error at once. */
const MAX_RETRY_DELAY_MS = 20_000;
const PASSING_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const PASSING_FAULTS: ReadonlySet<string | null> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);
const RETIRED_POOL: ReadonlySet<string | null> = new Set(['UND_ERR_CLOSED', 'UND_ERR_DESTROYED']);
const MAX_POOLS_TRIED = 5;
/** What a server says of a client certificate that it does not like, or of none. */
const IDENTITY_REFUSED = /ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)$/;

export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #connections: Connections;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#connections = new Connections(
      new Certificates(options.certificatesDirectory),
      options.proxies,
      options.clock,
    );
  }

  /**
   * Sends a request and follows redirects. UnavailableError in Go's words when no answer comes; InvalidArgumentError
   * when `certs.d` is not as it must be.
   */
  async send(exchange: Exchange): Promise<Answer> {
    const { signal, method, url, trust } = exchange;
    const retries = isStream(exchange.body) ? 0 : exchange.retries;
    let refusals = 0;
    let metStale = false;
    for (let attempt = 0; ; attempt += 1) {
      let delayMs: number | null;
      try {
        const answer = await this.#follow(exchange);
        delayMs = PASSING_STATUSES.has(answer.status) ? this.#delay(attempt, this.retryAfterMs(answer)) : null;
        if (delayMs === null || attempt >= retries) return answer;
        drop(answer.body);
      } catch (thrown) {
        signal?.throwIfAborted();
        if (thrown instanceof EngineError) throw thrown;
        const error = this.#connections.alertBehind(thrown);
        const code = errnoCodeOf(error) ?? '';
        if (IDENTITY_REFUSED.test(code) && !isStream(exchange.body) && url.startsWith('https:')) {
          refusals += 1;
          if ((await this.#connections.showNextIdentity(new URL(url), trust)) > refusals) continue;
        }
        // The server had closed a kept connection before it saw the request: as Go, on another one at once.
        if (!metStale && !isStream(exchange.body) && this.#connections.wasKept(thrown)) {
          metStale = true;
          attempt -= 1;
          continue;
        }
        delayMs = PASSING_FAULTS.has(code) ? this.#delay(attempt, null) : null;
        if (delayMs === null || attempt >= retries) throw networkError(method, url, error);
      }
      await this.#options.clock.sleep(delayMs, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
  }

  async #follow(exchange: Exchange): Promise<Answer> {
    let url = exchange.url;
    let headers: Readonly<Record<string, string>> = { ...exchange.headers, 'user-agent': this.#options.userAgent };
    for (let redirects = 0; ; redirects += 1) {
      const reply = await this.#ask(url, exchange, headers);
      const location = headerOf(reply.headers, 'location');
      if (location === null || !isFollowed(exchange, url, reply.statusCode, location)) {
        const { statusCode: status, statusText, body } = reply;
        this.#limit(body, status >= 400 ? { bodyWithinMs: ERROR_BODY_WITHIN_MS, ...exchange } : exchange);
        return { status, statusText, headers: reply.headers, body };
      }
      drop(reply.body);
      if (redirects >= MAX_REDIRECTS) throw new Error(`stopped after ${String(MAX_REDIRECTS)} redirects`);
      const next = new URL(location, url);
      assertSafe(next, url, exchange);
      if (next.origin !== new URL(url).origin) headers = withoutCredentials(headers);
      url = next.href;
    }
  }

  /** A pool may be taken out of use between its choice and its first request: then the next one is asked. */
  async #ask(
    url: string,
    exchange: Exchange,
    headers: Readonly<Record<string, string>>,
  ): Promise<Dispatcher.ResponseData> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#askOnce(url, exchange, headers);
      } catch (error) {
        const isRetired = RETIRED_POOL.has(errnoCodeOf(error)) && !this.#connections.isDisposed;
        if (!isRetired || isStream(exchange.body) || attempt >= MAX_POOLS_TRIED) throw error;
      }
    }
  }

  async #askOnce(
    url: string,
    { method, body, signal, trust }: Exchange,
    headers: Readonly<Record<string, string>>,
  ): Promise<Dispatcher.ResponseData> {
    const isReading = method === 'GET' || method === 'HEAD';
    return await request(url, {
      dispatcher: await this.#connections.dispatcherFor(new URL(url), trust),
      method,
      headers,
      headersTimeout: isReading ? READ_HEADERS_TIMEOUT_MS : WRITE_HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_STALL_TIMEOUT_MS,
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #limit(body: Readable, { bodyWithinMs, method, url }: Exchange): void {
    if (bodyWithinMs === undefined) return;
    const late = this.#options.clock.after(bodyWithinMs, () => {
      body.destroy(networkError(method, url, new Error('net/http: timeout awaiting the end of the response')));
    });
    body.once('close', () => late[Symbol.dispose]());
    // Who reads is told; where nobody reads any more, nobody needs to be.
    body.on('error', () => undefined);
  }

  #delay(attempt: number, asked: number | null): number | null {
    const backOff = FIRST_RETRY_DELAY_MS * 2 ** attempt * (0.5 + this.#options.random());
    const delay = asked ?? backOff;
    return delay > MAX_RETRY_DELAY_MS ? null : delay;
  }

  /** How long a busy server asks to be left alone (RFC 9110 section 10.2.3: seconds, or a date); null when it says nothing. */
  retryAfterMs(answer: Answer): number | null {
    const value = headerOf(answer.headers, 'retry-after') ?? '';
    if (/^\d+$/.test(value)) return Number(value) * 1000;
    const until = /[a-z]/i.test(value) ? Date.parse(value) : NaN;
    return Number.isNaN(until) ? null : Math.max(0, until - Number(this.#options.clock.now() / 1_000_000n));
  }
}

/** A header's only (or first) value. */
export function headerOf(headers: Answer['headers'], name: string): string | null {
  const value = headers[name];
  return (typeof value === 'string' ? value : value?.[0]) ?? null;
}

/** Reads a body that must be small. DataLossError when it is larger than `limitBytes`, UnavailableError when it breaks off. */
export async function readBody(body: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) throw new DataLossError(`response body is larger than ${String(limitBytes)} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof EngineError ? error : new UnavailableError('unexpected EOF', { cause: error });
  }
  return Buffer.concat(chunks);
}

/** As {@link readBody}, for a document that somebody on the way may have compressed. */
export async function readDocument({ body, headers }: Answer, limitBytes: number): Promise<Buffer> {
  const bytes = await readBody(body, limitBytes);
  if (!/^(?:x-)?gzip$/i.test(headerOf(headers, 'content-encoding') ?? '')) return bytes;
  try {
    return await gunzip(bytes, { maxOutputLength: limitBytes });
  } catch (error) {
    throw new DataLossError('response body cannot be decompressed', { cause: error });
  }
}

const gunzip = promisify(gunzipCallback);

/** Reads what an answer refuses with. */
export async function readRefusal(answer: Answer): Promise<RegistryRefusal> {
  const body = await readDocument(answer, MAX_ERROR_BODY_BYTES).catch(() => Buffer.alloc(0));
  const { status, statusText, headers } = answer;
  return refusalOf({ status, statusText, challengeHeader: headers['www-authenticate'] }, body.toString('utf8'));
}

/** Lets a body that nobody wants go, and its connection back to the pool where it is short; a long one is cut. */
export function drop(body: Readable): void {
  let left = MAX_ERROR_BODY_BYTES;
  body.on('error', () => undefined);
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) body.destroy();
  });
}

/**
 * Reading goes where it is sent. What writes or carries a body (a refresh token, content) stays within its origin, and
 * only the two statuses that keep method and body are followed.
 */
function isFollowed({ method, body }: Exchange, from: string, status: number, location: string): boolean {
  if (!REDIRECTS.has(status)) return false;
  if (method === 'GET' || method === 'HEAD') return true;
  const isKept = status === 307 || status === 308;
  return isKept && !isStream(body) && new URL(location, from).origin === new URL(from).origin;
}

/** A registry that is trusted for its certificate may not send anybody to where nobody needs one. */
function assertSafe(next: URL, from: string, { trust, method, url }: Exchange): void {
  if (next.protocol !== 'https:' && next.protocol !== 'http:') {
    throw networkError(method, url, new Error(`unsupported protocol scheme "${next.protocol.slice(0, -1)}"`));
  }
  if (next.protocol === 'https:' || !from.startsWith('https:') || !trust.verifyTls) return;
  throw new ForbiddenError(
    `refused to follow a redirect from https://${new URL(from).host} to plain HTTP at ${next.host}: ` +
      'the registry is not among the insecure registries',
  );
}

function isStream(body: RequestBody | undefined): body is Readable {
  return typeof body === 'object' && !Buffer.isBuffer(body);
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { authorization: _, ...rest } = headers;
  return rest;
}
