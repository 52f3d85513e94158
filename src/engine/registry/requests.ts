/**
 * Requests to a repository: where they are sent, and with what proof. Reading goes to mirrors first, writing to the
 * registry itself; what the registry asks for (Basic, Bearer) is answered here, so that verbs see only answers.
 */
import { lookup } from 'node:dns/promises';
import type { Clock } from '../../base/clock.ts';
import { DataLossError, EngineError, messageOf, UnavailableError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { canonicalName, type NamedReference } from '../oci/reference.ts';
import { Authorizer, pullScope, type Demand } from './authorizer.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import type { RegistryAuth, RequestOptions } from './client.ts';
import type { Credentials } from './credentials.ts';
import { assertDomain, endpointsOf, hostsToLookUp, type Endpoint, type EndpointRules } from './endpoints.ts';
import { networkError, wrapRequestError } from './failures.ts';
import { blockedBy, refuseBlocked, refuseBlockedRegistry, type NameRules, type Repository } from './names.ts';
import type { ProxyRules } from './proxies.ts';
import { drop, Transport, type Answer, type Method, type RequestBody } from './transport.ts';

export interface RequestsOptions extends EndpointRules, NameRules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  readonly proxies: ProxyRules;
  /** Docker's `certs.d`; null for none. */
  readonly certificatesDirectory: string | null;
  /** What is shown where a request brings no credentials of its own; null for nothing. */
  readonly credentials: Credentials | null;
  /** A number in [0, 1): spreads retries. Default Math.random. */
  readonly random?: () => number;
  /** The addresses of a host name; what the system says by default. */
  readonly lookUp?: (host: string) => Promise<readonly string[]>;
}

/** A registry that is there, and what it wants to know. */
export interface Session {
  readonly endpoint: Endpoint;
  readonly challenges: readonly Challenge[];
}

/** Which endpoints count. */
export interface Attempt extends RequestOptions {
  /** `pull` goes to mirrors first; `push` only to the registry itself. */
  readonly purpose: 'pull' | 'push';
  /** True to ask `/v2/` again: at the start of every operation. */
  readonly fresh: boolean;
  /** A digest, where {@link Requests.distrust} may have something to say about it. */
  readonly what?: string;
}

export interface Query {
  readonly method: Method;
  /**
   * Below `/v2/<repository>/`; or a whole URL that the registry gave (an upload's `Location`), which gets credentials
   * only where it is at the registry itself. See {@link locationOf}.
   */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly retries: number;
  /** For a small answer; see {@link Exchange.bodyWithinMs}. */
  readonly bodyWithinMs?: number;
  /** What a token must allow; by default to pull from the repository. */
  readonly scopes?: readonly string[];
}

/** Repositories and sessions that are remembered; many more than anybody pulls from at once. */
const MAX_KNOWN = 1000;
/** dockerd's: a mirror that hangs holds nobody up for longer. */
const PING_WITHIN_MS = 15_000;
const PING_TIMEOUT = new Error('context deadline exceeded (Client.Timeout exceeded while awaiting headers)');
const NOWHERE: ReadonlySet<string> = new Set();
/** Answers that are read whole and small: they come at once or not at all. */
export const SMALL_BODY_WITHIN_MS = 60_000;

export class Requests implements AsyncDisposable {
  readonly transport: Transport;
  readonly authorizer: Authorizer;
  readonly #options: RequestsOptions;
  /**
   * What is asked at a base URL; renewed by every fresh attempt. Not the session: a mirror may be a registry itself, where
   * other names and other credentials count.
   */
  readonly #challenges = new Map<string, readonly Challenge[]>();
  /** By what was asked for: mirrors that began to send it and broke off. */
  readonly #failedMirrors = new Map<string, Set<string>>();
  /** By blob: the mirror that sent it last. */
  readonly #sources = new Map<string, Endpoint>();
  /** Base URLs where nothing answered when it was last tried. */
  readonly #absent = new Set<string>();
  /** By repository, as the last fresh attempt found them. */
  readonly #endpoints = new Map<string, readonly Endpoint[]>();

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.transport = new Transport({ ...options, random: options.random ?? Math.random });
    this.authorizer = new Authorizer(this.transport, options.clock);
  }

  /**
   * Runs `job` at the first endpoint that is there. A mirror's failure of any kind goes on to the next; a registry's
   * own answer counts, and HTTP is tried only where nothing speaks TLS. ForbiddenError when the repository is blocked.
   */
  async atEndpoints<T>(reference: NamedReference, attempt: Attempt, job: (session: Session) => Promise<T>): Promise<T> {
    refuseBlocked(reference, this.#options);
    let failure: unknown = null;
    for (const endpoint of await this.#endpointsFor(reference, attempt)) {
      let session: Session | null = null;
      try {
        session = await this.#session(endpoint, attempt);
        return await job(session);
      } catch (error) {
        attempt.signal?.throwIfAborted();
        const isAbsent = session === null && error instanceof UnavailableError;
        if (!endpoint.isMirror && !isAbsent) throw error;
        if (endpoint.isMirror) this.#tellOfMirror(endpoint, error);
        failure = error;
      }
    }
    throw failure;
  }

  /** One request to a repository, with what its challenge asks for. A stream as body is not sent a second time. */
  async query(session: Session, reference: NamedReference, query: Query, options: RequestOptions): Promise<Answer> {
    const { endpoint } = session;
    const url = urlOf(session, reference, query.path);
    const isElsewhere = new URL(url).origin !== new URL(endpoint.baseUrl).origin;
    const demand: Demand = {
      challenges: isElsewhere ? [] : session.challenges,
      scopes: query.scopes ?? [pullScope(endpoint.namePrefix + reference.path)],
      auth: isElsewhere ? null : await this.#authFor(endpoint, reference, options),
      trust: endpoint,
      signal: options.signal,
    };
    const answer = await this.#authorized(url, query, demand);
    const isSpent = typeof query.body === 'object' && !Buffer.isBuffer(query.body);
    if (answer.status !== 401 || isElsewhere) return answer;
    // The kept token is no longer good, or the registry asks only below /v2/: once more with what it says now.
    const challenges = session.challenges.length === 0 ? challengesOf(answer) : session.challenges;
    const canRetry = this.authorizer.forget(demand) || (session.challenges.length === 0 && challenges.length > 0);
    const said = challengesOf(answer).some(({ parameters }) => parameters['error'] === 'insufficient_scope');
    if (!canRetry || said || isSpent) return answer;
    drop(answer.body);
    return await this.#authorized(url, query, { ...demand, challenges });
  }

  /** Notes who sends a blob; see {@link rejectBlob}. Null: nobody yet. */
  noteSource(what: string, source: Endpoint | null): void {
    this.#sources.delete(what);
    if (source?.isMirror !== true) return;
    this.#sources.set(what, source);
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > MAX_KNOWN && oldest !== undefined) this.#sources.delete(oldest);
  }

  /** True when a mirror sent it that was trusted until now: it is asked last from here on. */
  rejectBlob(what: string): boolean {
    const source = this.#sources.get(what);
    this.#sources.delete(what);
    if (source === undefined || this.#failedMirrors.get(what)?.has(source.baseUrl) === true) return false;
    this.#tellOfMirror(source, new DataLossError(`what it sent as ${what} is something else`));
    this.distrust(source, what);
    return true;
  }

  /** After a mirror broke off in the middle of something: the next attempt at it asks everybody else before. */
  distrust({ isMirror, baseUrl }: Endpoint, what: string): void {
    if (!isMirror) return;
    const failed = this.#failedMirrors.get(what) ?? new Set();
    failed.add(baseUrl);
    this.#failedMirrors.delete(what);
    this.#failedMirrors.set(what, failed);
    const [oldest] = this.#failedMirrors.keys();
    if (this.#failedMirrors.size > MAX_KNOWN && oldest !== undefined) this.#failedMirrors.delete(oldest);
  }

  /** Asks `/v2/`. */
  async ping(endpoint: Endpoint, authorization: string | null, signal: AbortSignal | undefined): Promise<Answer> {
    const url = `${endpoint.baseUrl}/v2/`;
    const late = new AbortController();
    using _timer = this.#options.clock.after(PING_WITHIN_MS, () => late.abort(networkError('GET', url, PING_TIMEOUT)));
    return await this.transport.send({
      method: 'GET',
      url,
      headers: authorization === null ? {} : { authorization },
      trust: endpoint,
      retries: 0,
      bodyWithinMs: SMALL_BODY_WITHIN_MS,
      signal: AbortSignal.any([late.signal, ...(signal === undefined ? [] : [signal])]),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport[Symbol.asyncDispose]();
  }

  /** ForbiddenError when a whole registry is blocked. */
  refuseBlockedRegistry(domain: string): void {
    refuseBlockedRegistry(domain, this.#options);
  }

  /** The endpoints of a registry itself, to log in. ForbiddenError when it is blocked. */
  async ownEndpoints(domain: string): Promise<readonly Endpoint[]> {
    assertDomain(domain);
    this.refuseBlockedRegistry(domain);
    return (await this.#find({ domain, path: '' })).filter(({ isMirror }) => !isMirror);
  }

  /** All endpoints for a new operation; later requests skip an HTTPS that was not there when the manifest came by HTTP. */
  async #endpointsFor(
    reference: NamedReference,
    { fresh, purpose, what = '', withoutMirrors = purpose === 'push' }: Attempt,
  ): Promise<readonly Endpoint[]> {
    const key = canonicalName(reference);
    const known = fresh ? undefined : this.#endpoints.get(key);
    const found = known ?? (await this.#find(reference));
    this.#endpoints.delete(key);
    this.#endpoints.set(key, found);
    const [oldest] = this.#endpoints.keys();
    if (this.#endpoints.size > MAX_KNOWN && oldest !== undefined) this.#endpoints.delete(oldest);
    const failed = this.#failedMirrors.get(what) ?? NOWHERE;
    const usable = found.filter(({ isMirror }) => !(withoutMirrors && isMirror));
    const present = usable.filter(({ baseUrl }) => !this.#absent.has(baseUrl));
    const wanted = fresh || present.length === 0 ? usable : present;
    return wanted.toSorted((a, b) => Number(failed.has(a.baseUrl)) - Number(failed.has(b.baseUrl)));
  }

  /** A mirror that is itself a blocked registry is left out. */
  async #find(repository: Repository): Promise<readonly Endpoint[]> {
    const lookUp = this.#options.lookUp ?? systemLookUp;
    const hosts = hostsToLookUp(repository, this.#options);
    const addresses = new Map(
      await Promise.all(hosts.map(async (host) => [host, await lookUp(host).catch(() => [])] as const)),
    );
    return endpointsOf(repository, this.#options, (host) => addresses.get(host) ?? []).filter(
      ({ isMirror, host, namePrefix }) =>
        !isMirror ||
        blockedBy(
          { domain: host, path: namePrefix + repository.path },
          { ...this.#options, addedRegistries: [host] },
        ) === null,
    );
  }

  /** A request's own credentials are for the registry that it names, never for a mirror of it. */
  async #authFor(
    { isMirror, host, namePrefix }: Endpoint,
    { domain, path }: NamedReference,
    { auth }: RequestOptions,
  ): Promise<RegistryAuth | null> {
    if (!isMirror) return auth ?? (await this.#options.credentials?.find({ domain, path })) ?? null;
    return (await this.#options.credentials?.find({ domain: host, path: namePrefix + path })) ?? null;
  }

  #tellOfMirror({ baseUrl }: Endpoint, error: unknown): void {
    this.#options.logger.warn('mirror failed, trying the next endpoint', {
      endpoint: baseUrl,
      error: messageOf(error),
    });
  }

  /** Asks `/v2/` once an operation: any answer means that the registry is there. */
  async #session(endpoint: Endpoint, { fresh, signal }: Attempt): Promise<Session> {
    const known = this.#challenges.get(endpoint.baseUrl);
    if (known !== undefined && !fresh) return { endpoint, challenges: known };
    this.#challenges.delete(endpoint.baseUrl);
    let answer: Answer;
    try {
      answer = await this.ping(endpoint, null, signal);
    } catch (error) {
      if (error instanceof UnavailableError && this.#absent.size < MAX_KNOWN) this.#absent.add(endpoint.baseUrl);
      throw error;
    }
    drop(answer.body);
    this.#absent.delete(endpoint.baseUrl);
    const challenges = answer.status === 401 ? challengesOf(answer) : [];
    this.#challenges.set(endpoint.baseUrl, challenges);
    return { endpoint, challenges };
  }

  async #authorized(url: string, query: Query, demand: Demand): Promise<Answer> {
    let authorization: string | null;
    try {
      authorization = await this.authorizer.headerFor(demand);
    } catch (error) {
      if (error instanceof EngineError) throw wrapRequestError(query.method, url, error);
      throw error;
    }
    return await this.transport.send({
      method: query.method,
      url,
      headers: { ...query.headers, ...(authorization === null ? {} : { authorization }) },
      ...(query.body === undefined ? {} : { body: query.body }),
      ...(query.bodyWithinMs === undefined ? {} : { bodyWithinMs: query.bodyWithinMs }),
      trust: demand.trust,
      retries: query.retries,
      signal: demand.signal,
    });
  }
}

/** Where a query goes. */
export function urlOf({ endpoint }: Session, { path: repository }: NamedReference, path: string): string {
  if (path.startsWith('http://') || path.startsWith('https://')) return path;
  return `${endpoint.baseUrl}/v2/${endpoint.namePrefix}${repository}/${path}`;
}

/** The `Location` of an answer as a whole URL, for the next {@link Query}; null when there is none. */
export function locationOf(answer: Answer, askedUrl: string): string | null {
  const value = answer.headers['location'];
  const location = typeof value === 'string' ? value : value?.[0];
  return location === undefined || !URL.canParse(location, askedUrl) ? null : new URL(location, askedUrl).href;
}

/** How an answer wants to be authorized. */
export function challengesOf(answer: Answer): readonly Challenge[] {
  return parseChallenges(answer.headers['www-authenticate']);
}

async function systemLookUp(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
