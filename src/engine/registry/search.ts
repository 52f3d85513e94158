/**
 * Finding repositories ({@link RegistrySearch}). Docker Hub speaks Docker's first search protocol, and so do some private
 * registries; the others can at most list what they have (distribution-spec, "Listing Repositories"), which is then
 * looked through here.
 */
import { DataLossError, EngineError, InternalError, NotImplementedError, messageOf } from '../../base/errors.ts';
import type { NamedReference } from '../oci/reference.ts';
import { basicHeader, CATALOG_SCOPE } from './authorizer.ts';
import type { RegistrySearch, RequestOptions, SearchResult } from './client.ts';
import { assertDomain } from './endpoints.ts';
import { nextPageQuery } from './next-page.ts';
import { refused } from './push-upload.ts';
import { SMALL_BODY_WITHIN_MS, type Requests, type Session } from './requests.ts';
import { drop, readDocument, readRefusal, type Answer } from './transport.ts';
import { parseCatalog, parseSearch } from './wire.ts';

type SearchOptions = Parameters<RegistrySearch['search']>[2];

const HUB_DOMAIN = 'docker.io';
const HUB_INDEX_HOST = 'index.docker.io';
const RETRIES = 2;
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const PAGE_SIZE = 1000;
/** A registry whose pages never end is stopped here. */
const MAX_PAGES = 100;

export class Searcher implements RegistrySearch {
  readonly #requests: Requests;

  constructor(requests: Requests) {
    this.#requests = requests;
  }

  async search(domain: string, term: string, options: SearchOptions): Promise<SearchResult[]> {
    assertDomain(domain);
    this.#requests.refuseBlockedRegistry(domain);
    if (domain === HUB_DOMAIN) return await this.#atHub(term, options);
    const reference = { domain, path: '', tag: null, digest: null };
    return await this.#requests.atEndpoints(
      reference,
      { auth: options.auth, ...signalOf(options), purpose: 'push', fresh: true },
      async (session) => {
        const found = await this.#byProtocol(session, reference, term, options);
        return found ?? (await this.#inCatalog(session, reference, term, options));
      },
    );
  }

  async #atHub(term: string, options: SearchOptions): Promise<SearchResult[]> {
    const authorization = basicHeader(options.auth);
    const answer = await this.#requests.transport.send({
      method: 'GET',
      url: `https://${HUB_INDEX_HOST}/v1/${searchPath(term, options.limit)}`,
      headers: authorization === null ? {} : { authorization, 'x-docker-token': 'true' },
      trust: { host: HUB_INDEX_HOST, verifyTls: true },
      retries: RETRIES,
      bodyWithinMs: SMALL_BODY_WITHIN_MS,
      signal: options.signal,
    });
    if (answer.status !== 200) {
      drop(answer.body);
      throw new InternalError(`Unexpected status code ${String(answer.status)}`);
    }
    const found = parseSearch(await readDocument(answer, MAX_BODY_BYTES));
    if (found === null) throw new InternalError('error decoding registry search results');
    return found;
  }

  /** Null where the registry does not speak it. */
  async #byProtocol(
    session: Session,
    reference: NamedReference,
    term: string,
    options: SearchOptions,
  ): Promise<SearchResult[] | null> {
    const answer = await this.#get(session, reference, `/v1/${searchPath(term, options.limit)}`, options);
    if (answer.status !== 200) {
      drop(answer.body);
      return null;
    }
    // Some registries answer every unknown path with their web page.
    return parseSearch(await readDocument(answer, MAX_BODY_BYTES));
  }

  async #inCatalog(
    session: Session,
    reference: NamedReference,
    term: string,
    options: SearchOptions,
  ): Promise<SearchResult[]> {
    const found: SearchResult[] = [];
    let path: string | null = `/v2/_catalog?n=${String(PAGE_SIZE)}`;
    for (let page = 0; path !== null && page < MAX_PAGES && found.length < options.limit; page += 1) {
      const answer: Answer = await this.#get(session, reference, path, options);
      if (answer.status !== 200) throw await this.#catalogError(answer, reference.domain);
      const names = parseCatalog(await readDocument(answer, MAX_BODY_BYTES));
      found.push(...names.filter((name) => name.includes(term.toLowerCase())).map((name) => bare(reference, name)));
      const next = nextPageQuery(answer.headers['link']);
      if (next !== null && `/v2/_catalog${next}` === path) throw new DataLossError('list of repositories never ends');
      path = next === null ? null : `/v2/_catalog${next}`;
    }
    return found.slice(0, options.limit);
  }

  async #catalogError(answer: Answer, domain: string): Promise<Error> {
    const refusal = await readRefusal(answer);
    if (refusal.status === 404 || refusal.status === 405 || refusal.status === 501) {
      return new NotImplementedError(
        `registry ${domain} cannot be searched: it offers neither Docker's search (/v1/search) nor a list of its ` +
          'repositories (/v2/_catalog)',
      );
    }
    const error = refused(refusal);
    const kind = error instanceof EngineError ? error.kind : 'internal';
    return new EngineError(kind, `registry ${domain} does not list its repositories: ${messageOf(error)}`);
  }

  async #get(
    session: Session,
    reference: NamedReference,
    path: string,
    { auth, ...options }: SearchOptions,
  ): Promise<Answer> {
    const query = {
      method: 'GET',
      path: session.endpoint.baseUrl + path,
      retries: RETRIES,
      bodyWithinMs: SMALL_BODY_WITHIN_MS,
      scopes: [CATALOG_SCOPE],
    } as const;
    return await this.#requests.query(session, reference, query, { auth, ...signalOf(options) });
  }
}

function searchPath(term: string, limit: number): string {
  return `search?${new URLSearchParams({ q: term, n: String(limit) }).toString()}`;
}

/** With its registry, so that what is shown can be pulled. */
function bare({ domain }: NamedReference, name: string): SearchResult {
  return { name: `${domain}/${name}`, description: '', isOfficial: false, isAutomated: false, starCount: 0 };
}

function signalOf({ signal }: Pick<RequestOptions, 'signal'>): Pick<RequestOptions, 'signal'> {
  return signal === undefined ? {} : { signal };
}
