/**
 * The registry room's implementation: the distribution-spec over HTTP. It knows endpoints, challenges, mirrors and
 * retries; it keeps no content and knows nothing of images. It calls nothing of ours but oci and base.
 */
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { DataLossError, EngineError, messageOf, UnauthorizedError, UnavailableError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { digestOf, isDigest, type Digest } from '../oci/digest.ts';
import { MediaType, type Descriptor } from '../oci/image-spec.ts';
import type { NamedReference } from '../oci/reference.ts';
import { Authorizer, basicHeader, type Demand } from './authorizer.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import type { RegistryAuth, RegistryClient, RequestOptions, ResolvedManifest } from './client.ts';
import { domainOfServerAddress, endpointsOf, type Endpoint, type EndpointRules } from './endpoints.ts';
import { blobError, manifestError, networkError, wrapRequestError } from './failures.ts';
import { drop, headerOf, readBody, readRefusal, Transport, type Answer, type ProxyRules } from './transport.ts';
import { ownMediaType, parseTags } from './wire.ts';

export interface RegistryClientOptions extends EndpointRules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  readonly proxies: ProxyRules;
  /** Docker's `certs.d`; null for none. */
  readonly certificatesDirectory: string | null;
  /** A number in [0, 1): spreads retries. Default Math.random. */
  readonly random?: () => number;
}

/** What a registry answered to `/v2/`: alive, and what it wants to know. */
interface Session {
  readonly endpoint: Endpoint;
  readonly challenges: readonly Challenge[];
}

interface Query {
  readonly method: 'GET' | 'HEAD';
  /** Below `/v2/<repository>/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly retries: number;
}

/** containerd's bound too; real manifests are a few kilobytes. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
const MANIFEST_RETRIES = 2;
/** Far more than anybody pulls at once; a registry whose pages never end is stopped here. */
const MAX_TAGS = 100_000;
const MANIFEST_TYPES = [
  MediaType.dockerManifest,
  MediaType.dockerManifestList,
  MediaType.ociManifest,
  MediaType.ociIndex,
  // Asked for so that an old registry answers with it and we can say why it is refused.
  MediaType.dockerSchema1,
  MediaType.dockerSchema1Signed,
].join(', ');

/** Makes a client. Dispose it to close its connections. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient & AsyncDisposable {
  return new DistributionClient(options);
}

class DistributionClient implements RegistryClient, AsyncDisposable {
  readonly #options: RegistryClientOptions;
  readonly #transport: Transport;
  readonly #authorizer: Authorizer;
  /** By base URL; renewed by every resolve. */
  readonly #sessions = new Map<string, Session>();

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    this.#transport = new Transport({ ...options, random: options.random ?? Math.random });
    this.#authorizer = new Authorizer(this.#transport, options.clock);
  }

  async resolve(reference: NamedReference, options: RequestOptions): Promise<ResolvedManifest> {
    return await this.#atEndpoints(reference, { ...options, fresh: true }, async (session) => {
      if (reference.digest !== null) return await this.#manifest(session, reference, reference.digest, options);
      // Docker Hub counts GETs of tags against the pull limit, not HEADs nor GETs by digest.
      const tag = reference.tag ?? 'latest';
      const head = {
        method: 'HEAD',
        path: `manifests/${tag}`,
        headers: { accept: MANIFEST_TYPES },
        retries: 0,
      } as const;
      const answer = await this.#query(session, reference, head, options);
      drop(answer.body);
      const digest = headerOf(answer.headers, 'docker-content-digest');
      const isKnown = answer.status === 200 && digest !== null && isDigest(digest);
      return await this.#manifest(session, reference, isKnown ? digest : tag, options);
    });
  }

  async fetchManifest(reference: NamedReference, digest: Digest, options: RequestOptions): Promise<ResolvedManifest> {
    return await this.#atEndpoints(reference, { ...options, fresh: false }, async (session) =>
      this.#manifest(session, reference, digest, options),
    );
  }

  async fetchBlob(
    reference: NamedReference,
    descriptor: Descriptor,
    offset: number,
    options: RequestOptions,
  ): Promise<Readable> {
    return await this.#atEndpoints(reference, { ...options, fresh: false }, async (session) => {
      const range = offset > 0 ? { range: `bytes=${String(offset)}-` } : undefined;
      const query = { method: 'GET', path: `blobs/${descriptor.digest}`, headers: range ?? {}, retries: 0 } as const;
      const answer = await this.#query(session, reference, query, options);
      if (answer.status === 206 && offset > 0) return continued(answer, offset);
      // The server knows no ranges: what we have is read again and dropped.
      if (answer.status === 200) return offset > 0 ? withoutFirst(answer.body, offset) : answer.body;
      throw blobError(await readRefusal(answer));
    });
  }

  async tags(reference: NamedReference, options: RequestOptions): Promise<readonly string[]> {
    return await this.#atEndpoints(reference, { ...options, fresh: true }, async (session) => {
      const tags: string[] = [];
      let path: string | null = 'tags/list';
      while (path !== null) {
        const query: Query = { method: 'GET', path, retries: MANIFEST_RETRIES };
        const answer = await this.#query(session, reference, query, options);
        if (answer.status !== 200) throw manifestError(await readRefusal(answer), reference);
        tags.push(...parseTags(await readBody(answer.body, MAX_MANIFEST_BYTES)));
        if (tags.length > MAX_TAGS) throw new DataLossError(`repository has more than ${String(MAX_TAGS)} tags`);
        path = nextPage(headerOf(answer.headers, 'link'));
      }
      return tags;
    });
  }

  async authenticate(serverAddress: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string> {
    let failure: EngineError = new UnavailableError(`no endpoints found for ${serverAddress}`);
    const endpoints = endpointsOf(domainOfServerAddress(serverAddress), { ...this.#options, mirrors: [] });
    for (const endpoint of endpoints) {
      try {
        return await this.#login(endpoint, auth, signal);
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }

  /**
   * Runs `job` at the first endpoint that is there. A mirror's failure of any kind goes on to the next; a registry's
   * own answer counts.
   */
  async #atEndpoints<T>(
    reference: NamedReference,
    options: RequestOptions & { readonly fresh: boolean },
    job: (session: Session) => Promise<T>,
  ): Promise<T> {
    let failure: unknown = null;
    for (const endpoint of this.#endpoints(reference.domain, options.fresh)) {
      let session: Session;
      try {
        session = await this.#session(endpoint, options);
      } catch (error) {
        options.signal?.throwIfAborted();
        failure = error;
        continue;
      }
      try {
        return await job(session);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!endpoint.isMirror) throw error;
        this.#options.logger.warn('mirror failed, trying the next endpoint', {
          endpoint: endpoint.baseUrl,
          error: messageOf(error),
        });
        failure = error;
      }
    }
    throw failure;
  }

  /** All endpoints for a new resolve; later requests skip an HTTPS that was not there when the manifest came by HTTP. */
  #endpoints(domain: string, fresh: boolean): readonly Endpoint[] {
    const endpoints = endpointsOf(domain, this.#options);
    const alive = endpoints.filter(({ baseUrl }) => this.#sessions.has(baseUrl));
    return fresh || alive.length === 0 ? endpoints : alive;
  }

  /** Asks `/v2/` once a resolve: any answer means that the registry is there. */
  async #session(endpoint: Endpoint, options: RequestOptions & { readonly fresh: boolean }): Promise<Session> {
    const known = this.#sessions.get(endpoint.baseUrl);
    if (known !== undefined && !options.fresh) return known;
    this.#sessions.delete(endpoint.baseUrl);
    const answer = await this.#ping(endpoint, null, options.signal);
    drop(answer.body);
    const session = { endpoint, challenges: answer.status === 401 ? challengesOf(answer) : [] };
    this.#sessions.set(endpoint.baseUrl, session);
    return session;
  }

  async #ping(endpoint: Endpoint, authorization: string | null, signal: AbortSignal | undefined): Promise<Answer> {
    return await this.#transport.send({
      method: 'GET',
      url: `${endpoint.baseUrl}/v2/`,
      headers: authorization === null ? {} : { authorization },
      verifyTls: endpoint.verifyTls,
      retries: 0,
      signal,
    });
  }

  async #manifest(
    session: Session,
    reference: NamedReference,
    tagOrDigest: string,
    options: RequestOptions,
  ): Promise<ResolvedManifest> {
    const path = `manifests/${tagOrDigest}`;
    const query = { method: 'GET', path, headers: { accept: MANIFEST_TYPES }, retries: MANIFEST_RETRIES } as const;
    const answer = await this.#query(session, reference, query, options);
    if (answer.status !== 200) throw manifestError(await readRefusal(answer), reference);
    const bytes = await readBody(answer.body, MAX_MANIFEST_BYTES).catch((error: unknown) => {
      throw networkError('GET', urlOf(session, reference, path), error);
    });
    const digest = digestOf(bytes);
    if (isDigest(tagOrDigest) && digest !== tagOrDigest) {
      throw new DataLossError(`manifest verification failed for digest ${tagOrDigest}`);
    }
    const mediaType = mediaTypeOf(answer, bytes);
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  /** One request to a repository, with what its challenge asks for. */
  async #query(session: Session, reference: NamedReference, query: Query, options: RequestOptions): Promise<Answer> {
    const url = urlOf(session, reference, query.path);
    const demand: Demand = {
      challenges: session.challenges,
      repository: reference.path,
      auth: options.auth,
      verifyTls: session.endpoint.verifyTls,
      signal: options.signal,
    };
    const answer = await this.#authorized(url, query, demand);
    if (answer.status !== 401) return answer;
    // The kept token is no longer good, or the registry asks only below /v2/: once more with what it says now.
    const challenges = session.challenges.length === 0 ? challengesOf(answer) : session.challenges;
    const canRetry = this.#authorizer.forget(demand) || (session.challenges.length === 0 && challenges.length > 0);
    const said = challengesOf(answer).some(({ parameters }) => parameters['error'] === 'insufficient_scope');
    if (!canRetry || said) return answer;
    drop(answer.body);
    return await this.#authorized(url, query, { ...demand, challenges });
  }

  async #authorized(url: string, query: Query, demand: Demand): Promise<Answer> {
    let authorization: string | null;
    try {
      authorization = await this.#authorizer.headerFor(demand);
    } catch (error) {
      if (error instanceof EngineError) throw wrapRequestError(query.method, url, error);
      throw error;
    }
    return await this.#transport.send({
      method: query.method,
      url,
      headers: { ...query.headers, ...(authorization === null ? {} : { authorization }) },
      verifyTls: demand.verifyTls,
      retries: query.retries,
      signal: demand.signal,
    });
  }

  async #login(endpoint: Endpoint, auth: RegistryAuth, signal: AbortSignal | undefined): Promise<string> {
    const url = `${endpoint.baseUrl}/v2/`;
    const first = await this.#ping(endpoint, null, signal);
    drop(first.body);
    const challenges = first.status === 401 ? challengesOf(first) : [];
    const demand: Demand = { challenges, repository: null, auth, verifyTls: endpoint.verifyTls, signal };
    let last = first;
    let identityToken = '';
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    try {
      if (bearer !== undefined) {
        const { token, refreshToken } = await this.#authorizer.login(bearer, demand);
        identityToken = refreshToken;
        last = await this.#ping(endpoint, `Bearer ${token}`, signal);
      } else if (challenges.some(({ scheme }) => scheme === 'basic')) {
        const header = basicHeader(auth);
        if (header === null) throw new UnauthorizedError('no basic auth credentials');
        last = await this.#ping(endpoint, header, signal);
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

function urlOf(session: Session, reference: NamedReference, path: string): string {
  return `${session.endpoint.baseUrl}/v2/${reference.path}/${path}`;
}

function challengesOf(answer: Answer): readonly Challenge[] {
  return parseChallenges(answer.headers['www-authenticate']);
}

/** The header wins where it names a manifest type; old registries send `text/plain`, then the document itself says. */
function mediaTypeOf(answer: Answer, bytes: Buffer): string {
  const header = (headerOf(answer.headers, 'content-type') ?? '').split(';', 1)[0]?.trim() ?? '';
  if (MANIFEST_TYPES.includes(header) && header !== '') return header;
  const own = ownMediaType(bytes);
  if (own !== null) return own;
  if (header === '') throw new DataLossError('missing or empty Content-Type header');
  return header;
}

/** distribution-spec, "Listing Tags": `Link: </v2/<name>/tags/list?n=…&last=…>; rel="next"`. Only its query is taken. */
function nextPage(link: string | null): string | null {
  const query = /<[^>]*(\?[^>]*)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1];
  return query === undefined ? null : `tags/list${query}`;
}

/** The rest of a blob, if the server really sends it from where we asked. */
function continued(answer: Answer, offset: number): Readable {
  const start = /^bytes (\d+)-/.exec(headerOf(answer.headers, 'content-range') ?? '')?.[1];
  if (start !== undefined && Number(start) === offset) return answer.body;
  drop(answer.body);
  throw new UnavailableError(`registry sent the wrong range: ${headerOf(answer.headers, 'content-range') ?? 'none'}`);
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
