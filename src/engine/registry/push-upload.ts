/**
 * One blob on its way to a registry: the upload session of the distribution-spec ("Pushing blobs").
 *
 *   POST   blobs/uploads/                        202, Location: the session
 *   PUT    <session>?digest=…   the whole blob   201                          the usual way: two requests
 *   GET    <session>                             204, Range: 0-<last byte>    after a cut link: how much has come
 *   PATCH  <session>            the rest         202, Location: as it goes on
 *   DELETE <session>                             when nobody wants the blob any more
 *
 * Every answer may name another Location, absolute or relative, with a query that belongs to it.
 */
import { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { DataLossError, EngineError, InternalError, UnavailableError } from '../../base/errors.ts';
import type { NamedReference } from '../oci/reference.ts';
import { pushScope } from './authorizer.ts';
import type { PushableBlob, RequestOptions } from './client.ts';
import { refusalError, type RegistryRefusal } from './failures.ts';
import { locationOf, urlOf, type Query, type Requests, type Session } from './requests.ts';
import { drop, headerOf, readRefusal, type Answer } from './transport.ts';

/** What the requests of one push are made with. */
export interface PushLink {
  readonly requests: Requests;
  readonly session: Session;
  readonly reference: NamedReference;
  readonly clock: Clock;
  readonly options: RequestOptions;
}

/** Worth another attempt: the link broke, or the registry lost the session. */
export class UploadFailure extends Error {
  readonly failure: Error;
  /** The session is gone: the next attempt begins a new one. */
  readonly isLost: boolean;

  constructor(failure: Error, isLost: boolean) {
    super(failure.message, { cause: failure });
    this.failure = failure;
    this.isLost = isLost;
  }
}

/** The registry (or a proxy before it) takes no bodies of this size. */
export class TooLargeError extends Error {}

/** For registries behind proxies that limit bodies: small enough for all of them that are known. */
const CHUNK_BYTES = 16 * 1024 * 1024;
/** A registry that takes nothing for so long is given up, and asked where it stands. */
const STALL_MS = 60_000;
/** Tidying up at the registry is a courtesy: it must not hold up who has gone. */
const CANCEL_TIMEOUT_MS = 5_000;
const SESSION_RETRIES = 2;

export class Upload {
  readonly #link: PushLink;
  readonly #blob: PushableBlob;
  #location: string;
  /** Bytes that the registry is known to have. */
  #offset = 0;
  /** Null: the whole in one request. */
  readonly #chunkBytes: number | null;

  private constructor(link: PushLink, blob: PushableBlob, location: string, chunkBytes: number | null) {
    this.#link = link;
    this.#blob = blob;
    this.#location = location;
    this.#chunkBytes = chunkBytes;
  }

  /** Goes on from the answer that opened a session (202). */
  static from(link: PushLink, blob: PushableBlob, answer: Answer, inChunks: boolean): Upload {
    const asked = urlOf(link.session, link.reference, 'blobs/uploads/');
    const location = nextLocation(link, answer, asked);
    if (location === null) throw new InternalError('registry began an upload and did not say where (no Location)');
    const least = Number(headerOf(answer.headers, 'oci-chunk-min-length') ?? 0);
    const chunkBytes = inChunks ? Math.max(CHUNK_BYTES, Number.isSafeInteger(least) ? least : 0) : null;
    return new Upload(link, blob, location, chunkBytes);
  }

  /** Opens a session. */
  static async begin(link: PushLink, blob: PushableBlob, inChunks: boolean): Promise<Upload> {
    const answer = await ask(link, { method: 'POST', path: 'blobs/uploads/', retries: SESSION_RETRIES });
    if (answer.status !== 202) throw refused(await readRefusal(answer));
    drop(answer.body);
    return Upload.from(link, blob, answer, inChunks);
  }

  get offset(): number {
    return this.#offset;
  }

  /** Asks how much has come. Throws {@link UploadFailure} when the session is gone. */
  async locate(): Promise<void> {
    const answer = await this.#ask({ method: 'GET', path: this.#location, retries: SESSION_RETRIES });
    if (answer.status !== 204 && answer.status !== 200) throw lost(await readRefusal(answer));
    drop(answer.body);
    this.#moveOn(answer);
    this.#offset = receivedOf(answer) ?? 0;
    if (this.#offset > this.#blob.sizeBytes) throw new UploadFailure(new InternalError('upload is too long'), true);
  }

  /** Sends what is missing and closes the session. Throws {@link UploadFailure} for what may pass. */
  async finish(onProgress: (sentBytes: number) => void): Promise<void> {
    const { sizeBytes } = this.#blob;
    const isWhole = this.#offset === 0 && (this.#chunkBytes === null || sizeBytes <= this.#chunkBytes);
    if (isWhole) {
      await this.#close(sizeBytes, onProgress);
      return;
    }
    while (this.#offset < sizeBytes) {
      const length = Math.min(sizeBytes - this.#offset, this.#chunkBytes ?? Infinity);
      await this.#append(length, onProgress);
    }
    await this.#close(0, onProgress);
  }

  /** Tells the registry that nothing more comes; without answer it drops the session by itself some day. */
  async cancel(): Promise<void> {
    const stop = new AbortController();
    using _timer = this.#link.clock.after(CANCEL_TIMEOUT_MS, () => stop.abort());
    try {
      const link = { ...this.#link, options: { auth: this.#link.options.auth, signal: stop.signal } };
      drop((await ask(link, { method: 'DELETE', path: this.#location, retries: 0 })).body);
    } catch {
      // The upload has failed or was given up already; that is what is told.
    }
  }

  async #append(length: number, onProgress: (sentBytes: number) => void): Promise<void> {
    const start = this.#offset;
    const answer = await this.#send('PATCH', this.#location, length, onProgress, {
      'content-range': `${String(start)}-${String(start + length - 1)}`,
    });
    if (answer.status < 200 || answer.status >= 300) throw await failureOf(answer);
    drop(answer.body);
    this.#moveOn(answer);
    this.#offset = receivedOf(answer) ?? start + length;
    // One that reports less than it got would be fed for ever.
    if (this.#offset <= start)
      throw new UploadFailure(new InternalError('registry dropped a chunk of an upload'), true);
  }

  async #close(length: number, onProgress: (sentBytes: number) => void): Promise<void> {
    // Appended as text: the rest of the query is the registry's, and may be signed as it is written.
    const digest = `digest=${encodeURIComponent(this.#blob.digest)}`;
    const url = `${this.#location}${this.#location.includes('?') ? '&' : '?'}${digest}`;
    const answer = await this.#send('PUT', url, length, onProgress, {});
    if (answer.status < 200 || answer.status >= 300) throw await failureOf(answer);
    drop(answer.body);
    assertDigest(answer, this.#blob.digest);
  }

  async #send(
    method: 'PUT' | 'PATCH',
    url: string,
    length: number,
    onProgress: (sentBytes: number) => void,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const start = this.#offset;
    const stall = new StallWatch(this.#link.clock);
    const source = length === 0 ? null : await this.#blob.open(start);
    const body =
      source === null
        ? ''
        : metered(source, length, (sent) => {
            stall.beat(sent < length);
            onProgress(start + sent);
          });
    try {
      return await this.#ask({
        method,
        path: url,
        headers: { ...headers, 'content-type': 'application/octet-stream', 'content-length': String(length) },
        body,
        retries: 0,
        stall: stall.signal,
      });
    } finally {
      stall.beat(false);
      source?.destroy();
    }
  }

  /** A request of this session: what breaks on the way may pass, what cannot be read here does not. */
  async #ask(query: Query & { readonly stall?: AbortSignal }): Promise<Answer> {
    const { options } = this.#link;
    const signals = [options.signal, query.stall].filter((signal) => signal !== undefined);
    try {
      return await ask({ ...this.#link, options: { ...options, signal: AbortSignal.any(signals) } }, query);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error instanceof UnavailableError ? new UploadFailure(error, false) : error;
    }
  }

  #moveOn(answer: Answer): void {
    this.#location = nextLocation(this.#link, answer, this.#location) ?? this.#location;
  }
}

/** One request with the right to write. */
export async function ask(link: PushLink, query: Query): Promise<Answer> {
  const { requests, session, reference, options } = link;
  const scopes = query.scopes ?? [pushScope(session.endpoint.namePrefix + reference.path)];
  return await requests.query(session, reference, { ...query, scopes }, options);
}

/** A refusal as the caller's error: Docker's text as it is. */
export function refused(refusal: RegistryRefusal): Error {
  const error = refusalError(refusal, refusal.text);
  // Who is told to ask less is not helped by asking again: no UnavailableError, which is what is tried again.
  return refusal.status === 429 ? new EngineError(error.kind, error.message) : error;
}

/** The registry must know the content by the name we gave it. */
export function assertDigest(answer: Answer, digest: string): void {
  const said = headerOf(answer.headers, 'docker-content-digest');
  if (said !== null && said !== digest) {
    throw new DataLossError(`registry kept ${said} of what was sent as ${digest}`);
  }
}

async function failureOf(answer: Answer): Promise<Error> {
  const refusal = await readRefusal(answer);
  const { status } = refusal;
  if (status === 413) return new TooLargeError(refusal.text);
  // A token that ended on the way is got anew; the bytes are read again.
  if (status === 401 || status === 429 || status >= 500) return new UploadFailure(refused(refusal), false);
  return status === 400 || status === 404 || status === 416 ? lost(refusal) : refused(refusal);
}

function lost(refusal: RegistryRefusal): UploadFailure {
  return new UploadFailure(refused(refusal), true);
}

/** `Range: 0-1023`: 1024 bytes are there. An empty session is written `0-0`. */
function receivedOf(answer: Answer): number | null {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(headerOf(answer.headers, 'range') ?? '')?.[1];
  if (last === undefined) return null;
  return last === '0' ? 0 : Number(last) + 1;
}

/**
 * Where a session goes on. A registry behind a proxy that ends TLS often names itself by `http:`; what was begun by a
 * checked TLS does not go on without.
 */
function nextLocation({ session: { endpoint } }: PushLink, answer: Answer, asked: string): string | null {
  const location = locationOf(answer, asked);
  if (location === null) return null;
  const url = new URL(location);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new InternalError(`registry sends an upload to ${url.protocol}, which is not HTTP`);
  }
  if (!endpoint.verifyTls) return location;
  if (url.protocol !== 'http:') return location;
  const own = new URL(endpoint.baseUrl);
  if (url.hostname !== own.hostname) throw new InternalError(`registry sends an upload to ${url.origin}, without TLS`);
  url.protocol = 'https:';
  url.port = own.port;
  return url.href;
}

/** Aborts when bytes have stopped flowing. */
class StallWatch {
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #timer: Disposable | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Something moved; `isUnderWay` says whether more is to come. */
  beat(isUnderWay: boolean): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (!isUnderWay) return;
    this.#timer = this.#clock.after(STALL_MS, () => {
      this.#stop.abort(new UnavailableError('net/http: timeout writing the request body'));
    });
  }
}

/** The first `length` bytes of a stream, counted as they are taken. */
function metered(source: Readable, length: number, onBytes: (sentBytes: number) => void): Readable {
  async function* chunks(): AsyncGenerator<Buffer> {
    let sent = 0;
    onBytes(0);
    for await (const chunk of source as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, length - sent);
      sent += part.length;
      onBytes(sent);
      yield part;
      if (sent >= length) return;
    }
    if (sent < length) throw new DataLossError(`blob ended after ${String(sent)} of ${String(length)} bytes`);
  }
  return Readable.from(chunks(), { objectMode: false });
}
