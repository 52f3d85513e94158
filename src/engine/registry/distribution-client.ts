/**
 * The registry room's implementation: the distribution-spec over HTTP. It knows endpoints, challenges, mirrors and
 * retries; it keeps no content and knows nothing of images. It calls nothing of ours but oci and base.
 */
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { DataLossError, EngineError, errnoCodeOf, UnauthorizedError, UnavailableError } from '../../base/errors.ts';
import { digestOf, isDigest, type Digest } from '../oci/digest.ts';
import { MediaType, type Descriptor } from '../oci/image-spec.ts';
import type { NamedReference } from '../oci/reference.ts';
import { basicHeader, type Demand } from './authorizer.ts';
import { BusyRegistryError } from './busy-registry-error.ts';
import type {
  BlobArrival,
  FetchedFile,
  RegistryAuth,
  RegistryClient,
  RequestOptions,
  ResolvedManifest,
  SearchResult,
} from './client.ts';
import { domainOfServerAddress, type Endpoint } from './endpoints.ts';
import { blobError, manifestError, wrapRequestError } from './failures.ts';
import { fetchFile } from './fetch-file.ts';
import { nextPageQuery } from './next-page.ts';
import { Pusher } from './push.ts';
import {
  challengesOf,
  Requests,
  SMALL_BODY_WITHIN_MS,
  type Query,
  type RequestsOptions,
  type Session,
} from './requests.ts';
import { Searcher } from './search.ts';
import { drop, headerOf, readDocument, readRefusal, type Answer } from './transport.ts';
import { ownMediaType, parseTags } from './wire.ts';

export type RegistryClientOptions = RequestsOptions;

/** containerd's bound too; real manifests are a few kilobytes. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
const MANIFEST_RETRIES = 2;
/** Far more than anybody pulls at once; a registry whose pages never end is stopped here. */
const MAX_TAGS = 100_000;
/** And one whose pages are empty, here. */
const MAX_TAG_PAGES = 10_000;
/** A digest is that of the bytes as they are kept: nobody on the way may compress them. */
const AS_IT_IS = { 'accept-encoding': 'identity' } as const;
const MANIFEST_TYPES: readonly string[] = [
  MediaType.dockerManifest,
  MediaType.dockerManifestList,
  MediaType.ociManifest,
  MediaType.ociIndex,
  // Asked for so that an old registry answers with it and we can say why it is refused.
  MediaType.dockerSchema1,
  MediaType.dockerSchema1Signed,
];
const ACCEPTED = MANIFEST_TYPES.join(', ');

/** Makes a client. Dispose it to close its connections. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient & AsyncDisposable {
  return new DistributionClient(options);
}

class DistributionClient implements RegistryClient, AsyncDisposable {
  readonly #requests: Requests;
  readonly #pusher: Pusher;
  readonly #searcher: Searcher;

  constructor(options: RegistryClientOptions) {
    this.#requests = new Requests(options);
    this.#pusher = new Pusher(this.#requests, { clock: options.clock, random: options.random ?? Math.random });
    this.#searcher = new Searcher(this.#requests);
  }

  async resolve(reference: NamedReference, options: RequestOptions): Promise<ResolvedManifest> {
    return await this.#requests.atEndpoints(
      reference,
      { ...options, purpose: 'pull', fresh: true },
      async (session) => {
        if (reference.digest !== null) return await this.#manifest(session, reference, reference.digest, options);
        // Docker Hub counts GETs of tags against the pull limit, not HEADs nor GETs by digest.
        const tag = reference.tag ?? 'latest';
        const head = {
          method: 'HEAD',
          path: `manifests/${tag}`,
          headers: { accept: ACCEPTED },
          retries: 0,
        } as const;
        const answer = await this.#requests.query(session, reference, head, options);
        drop(answer.body);
        const digest = headerOf(answer.headers, 'docker-content-digest');
        const isKnown = answer.status === 200 && digest !== null && isDigest(digest);
        return await this.#manifest(session, reference, isKnown ? digest : tag, options);
      },
    );
  }

  async fetchManifest(reference: NamedReference, digest: Digest, options: RequestOptions): Promise<ResolvedManifest> {
    return await this.#requests.atEndpoints(reference, { ...options, purpose: 'pull', fresh: false }, async (session) =>
      this.#manifest(session, reference, digest, options),
    );
  }

  async fetchBlob(
    reference: NamedReference,
    descriptor: Descriptor,
    offset: number,
    options: RequestOptions,
  ): Promise<Readable> {
    return await this.#requests.atEndpoints(
      reference,
      { ...options, purpose: 'pull', fresh: false, what: descriptor.digest },
      async (session) => {
        this.#requests.noteSource(descriptor.digest, null);
        const headers = { ...AS_IT_IS, ...(offset > 0 ? { range: `bytes=${String(offset)}-` } : {}) };
        const query = { method: 'GET', path: `blobs/${descriptor.digest}`, headers, retries: 0 } as const;
        const answer = await this.#requests.query(session, reference, query, options);
        answer.body.once('error', (error) => {
          const isOurs = options.signal?.aborted === true || errnoCodeOf(error) === 'UND_ERR_ABORTED';
          if (!isOurs) this.#requests.distrust(session.endpoint, descriptor.digest);
        });
        if (answer.status === 200 || answer.status === 206) {
          this.#requests.noteSource(descriptor.digest, session.endpoint);
        }
        if (answer.status === 206 && offset > 0) return continued(answer, offset);
        // The server knows no ranges: what we have is read again and dropped.
        if (answer.status === 200) return offset > 0 ? withoutFirst(answer.body, offset) : answer.body;
        if (answer.status === 416 && offset > 0) {
          drop(answer.body);
          throw new DataLossError(`registry has no bytes from ${String(offset)} on`);
        }
        const refused = blobError(await readRefusal(answer));
        if (!(refused instanceof UnavailableError)) throw refused;
        throw new BusyRegistryError(refused, this.#requests.transport.retryAfterMs(answer));
      },
    );
  }

  async rejectBlob(digest: Digest): Promise<boolean> {
    return this.#requests.rejectBlob(digest);
  }

  async fetchFile(address: string, signal: AbortSignal): Promise<FetchedFile> {
    return await fetchFile(this.#requests.transport, address, signal);
  }

  async tags(reference: NamedReference, options: RequestOptions): Promise<readonly string[]> {
    return await this.#requests.atEndpoints(
      reference,
      { ...options, purpose: 'pull', fresh: true },
      async (session) => {
        const tags: string[] = [];
        let path: string | null = 'tags/list';
        for (let page = 0; path !== null; page += 1) {
          if (page >= MAX_TAG_PAGES) throw new DataLossError(`tag list has more than ${String(MAX_TAG_PAGES)} pages`);
          const query: Query = { method: 'GET', path, retries: MANIFEST_RETRIES, bodyWithinMs: SMALL_BODY_WITHIN_MS };
          const answer = await this.#requests.query(session, reference, query, options);
          if (answer.status !== 200) throw manifestError(await readRefusal(answer), reference);
          tags.push(...parseTags(await readDocument(answer, MAX_MANIFEST_BYTES)));
          if (tags.length > MAX_TAGS) throw new DataLossError(`repository has more than ${String(MAX_TAGS)} tags`);
          const next = nextPageQuery(answer.headers['link']);
          if (next !== null && `tags/list${next}` === path) throw new DataLossError('tag list never ends');
          path = next === null ? null : `tags/list${next}`;
        }
        return tags;
      },
    );
  }

  async authenticate(serverAddress: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string> {
    let failure: EngineError = new UnavailableError(`no endpoints found for ${serverAddress}`);
    for (const endpoint of await this.#requests.ownEndpoints(domainOfServerAddress(serverAddress))) {
      let first: Answer;
      try {
        first = await this.#requests.ping(endpoint, null, signal);
      } catch (error) {
        // Only where nothing speaks TLS is the password sent without.
        if (!(error instanceof UnavailableError)) throw error;
        failure = error;
        continue;
      }
      return await this.#login(endpoint, first, auth, signal);
    }
    throw failure;
  }

  async greet(...args: Parameters<RegistryClient['greet']>): Promise<void> {
    await this.#pusher.greet(...args);
  }

  async offerBlob(...args: Parameters<RegistryClient['offerBlob']>): Promise<BlobArrival | null> {
    return await this.#pusher.offerBlob(...args);
  }

  async pushBlob(...args: Parameters<RegistryClient['pushBlob']>): Promise<BlobArrival> {
    return await this.#pusher.pushBlob(...args);
  }

  async pushManifest(...args: Parameters<RegistryClient['pushManifest']>): Promise<Digest> {
    return await this.#pusher.pushManifest(...args);
  }

  async removeManifest(...args: Parameters<RegistryClient['removeManifest']>): Promise<void> {
    await this.#pusher.removeManifest(...args);
  }

  async search(...args: Parameters<RegistryClient['search']>): Promise<SearchResult[]> {
    return await this.#searcher.search(...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requests[Symbol.asyncDispose]();
  }

  async #manifest(
    session: Session,
    reference: NamedReference,
    tagOrDigest: string,
    options: RequestOptions,
  ): Promise<ResolvedManifest> {
    const path = `manifests/${tagOrDigest}`;
    const query = {
      method: 'GET',
      path,
      headers: { ...AS_IT_IS, accept: ACCEPTED },
      retries: MANIFEST_RETRIES,
      bodyWithinMs: SMALL_BODY_WITHIN_MS,
    } as const;
    const answer = await this.#requests.query(session, reference, query, options);
    if (answer.status !== 200) throw manifestError(await readRefusal(answer), reference);
    const bytes = await readDocument(answer, MAX_MANIFEST_BYTES);
    const digest = digestOf(bytes);
    if (isDigest(tagOrDigest) && digest !== tagOrDigest) {
      throw new DataLossError(`manifest verification failed for digest ${tagOrDigest}`);
    }
    const mediaType = mediaTypeOf(answer, bytes);
    // A mirror behind a login page answers everything by that page.
    if (session.endpoint.isMirror && !MANIFEST_TYPES.includes(mediaType)) {
      throw new DataLossError(`expected a manifest but found ${mediaType}`);
    }
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  async #login(
    endpoint: Endpoint,
    first: Answer,
    auth: RegistryAuth,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const url = `${endpoint.baseUrl}/v2/`;
    drop(first.body);
    const challenges = first.status === 401 ? challengesOf(first) : [];
    const demand: Demand = { challenges, scopes: [], auth, trust: endpoint, signal };
    let last = first;
    let identityToken = '';
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    try {
      if (bearer !== undefined) {
        const { token, refreshToken } = await this.#requests.authorizer.login(bearer, demand);
        identityToken = refreshToken;
        last = await this.#requests.ping(endpoint, `Bearer ${token}`, signal);
      } else if (challenges.some(({ scheme }) => scheme === 'basic')) {
        const header = basicHeader(auth);
        if (header === null) throw new UnauthorizedError('no basic auth credentials');
        last = await this.#requests.ping(endpoint, header, signal);
      }
    } catch (error) {
      if (error instanceof EngineError) throw wrapRequestError('GET', url, error);
      throw error;
    }
    if (last !== first) drop(last.body);
    if (last.status === 200) return identityToken;
    const text = `login attempt to ${url} failed with status: ${String(last.status)} ${last.statusText}`;
    throw new UnauthorizedError(text);
  }
}

/** The header wins where it names a manifest type; old registries send `text/plain`, then the document itself says. */
function mediaTypeOf(answer: Answer, bytes: Buffer): string {
  const header = (headerOf(answer.headers, 'content-type') ?? '').split(';', 1)[0]?.trim() ?? '';
  if (MANIFEST_TYPES.includes(header)) return header;
  const own = ownMediaType(bytes);
  if (own !== null) return own;
  if (header === '') throw new DataLossError('missing or empty Content-Type header');
  return header;
}

/** The rest of a blob, if the server really sends it from where we asked; DataLossError asks to begin anew. */
function continued(answer: Answer, offset: number): Readable {
  const start = /^bytes (\d+)-/.exec(headerOf(answer.headers, 'content-range') ?? '')?.[1];
  if (start !== undefined && Number(start) === offset) return answer.body;
  drop(answer.body);
  throw new DataLossError(`registry sent the wrong range: ${headerOf(answer.headers, 'content-range') ?? 'none'}`);
}

function withoutFirst(body: Readable, count: number): Readable {
  let left = count;
  const rest = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      done(null, skipped === chunk.length ? undefined : chunk.subarray(skipped));
    },
  });
  body.on('error', (error) => rest.destroy(error));
  rest.on('close', () => body.destroy());
  return body.pipe(rest);
}
