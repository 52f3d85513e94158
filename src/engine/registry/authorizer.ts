/**
 * Answers a registry's challenge: Basic credentials, or a Bearer token from the token server it names (Docker's token
 * spec). Tokens are kept until shortly before they expire; credentials are never kept or logged.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { ForbiddenError, InternalError, UnauthorizedError } from '../../base/errors.ts';
import type { Challenge } from './challenge.ts';
import type { RegistryAuth } from './client.ts';
import type { Trust } from './connections.ts';
import { MAX_ERROR_BODY_BYTES, refusalError } from './failures.ts';
import { drop, readDocument, readRefusal, type Answer, type Exchange, type Transport } from './transport.ts';
import { parseToken, type TokenAnswer } from './wire.ts';

/** Who asks for what. */
export interface Demand {
  readonly challenges: readonly Challenge[];
  /** What is to be done where; see {@link pullScope} and its sisters. Empty when only the login itself is checked. */
  readonly scopes: readonly string[];
  readonly auth: RegistryAuth | null;
  readonly trust: Trust;
  readonly signal: AbortSignal | undefined;
}

interface KeptToken {
  readonly token: string;
  readonly staleAtMs: number;
}

const CLIENT_ID = 'docker';
/** A token is not used in its last seconds: it must outlive the request it goes with. */
const TOKEN_SLACK_SECONDS = 10;
const TOKEN_RETRIES = 2;
const TOKEN_BODY_WITHIN_MS = 60_000;
const NO_POST: ReadonlySet<number> = new Set([400, 401, 404, 405]);

export class Authorizer {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, KeptToken>();

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /**
   * The Authorization header for a demand; null when nothing is asked. UnauthorizedError when the challenge cannot be
   * met; UnavailableError when the token server is not there.
   */
  async headerFor(demand: Demand): Promise<string | null> {
    const bearer = demand.challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      const { registryToken } = demand.auth ?? {};
      if (registryToken !== undefined && registryToken !== '') return `Bearer ${registryToken}`;
      return `Bearer ${await this.#keptToken(bearer, demand)}`;
    }
    const basic = demand.challenges.find(({ scheme }) => scheme === 'basic');
    if (basic === undefined) return null;
    const header = basicHeader(demand.auth);
    if (header === null) throw new UnauthorizedError('no basic auth credentials');
    return header;
  }

  /** Drops the kept token of a demand; true when there was one, so that trying again makes sense. */
  forget(demand: Demand): boolean {
    const bearer = demand.challenges.find(({ scheme }) => scheme === 'bearer');
    return bearer !== undefined && this.#tokens.delete(tokenKey(bearer, demand));
  }

  /** Fetches a token for a login; the refresh token is what Docker calls identity token. */
  async login(bearer: Challenge, demand: Demand): Promise<TokenAnswer> {
    return await this.#fetchToken(bearer, demand, true);
  }

  async #keptToken(bearer: Challenge, demand: Demand): Promise<string> {
    const key = tokenKey(bearer, demand);
    const kept = this.#tokens.get(key);
    if (kept !== undefined && kept.staleAtMs > this.#clock.monotonicMs()) return kept.token;
    const { token, expiresInSeconds } = await this.#fetchToken(bearer, demand, false);
    if (token === '') throw new InternalError('authorization server did not include a token in the response');
    const lifeMs = (expiresInSeconds - TOKEN_SLACK_SECONDS) * 1000;
    this.#dropStale();
    this.#tokens.set(key, { token, staleAtMs: this.#clock.monotonicMs() + lifeMs });
    return token;
  }

  async #fetchToken(bearer: Challenge, demand: Demand, isLogin: boolean): Promise<TokenAnswer> {
    const realm = realmOf(bearer, demand);
    const { auth } = demand;
    let answer: Answer;
    if ((auth?.identityToken ?? '') === '') answer = await this.#askByBasic(realm, bearer, demand, isLogin);
    else {
      answer = await this.#askByIdentity(realm, bearer, demand);
      // Token servers that only know the older way say so with one of these (as containerd met them).
      if (NO_POST.has(answer.status) && (auth?.username ?? '') !== '' && (auth?.password ?? '') !== '') {
        drop(answer.body);
        answer = await this.#askByBasic(realm, bearer, demand, isLogin);
      }
    }
    if (answer.status < 200 || answer.status >= 300) {
      const refused = await readRefusal(answer);
      throw refusalError(refused, refused.text);
    }
    return parseToken((await readDocument(answer, MAX_ERROR_BODY_BYTES)).toString('utf8'));
  }

  /** Docker's token spec: GET, with the credentials as Basic. Each scope is named on its own. */
  async #askByBasic(realm: URL, bearer: Challenge, demand: Demand, isLogin: boolean): Promise<Answer> {
    const authorization = basicHeader(demand.auth);
    const url = new URL(realm);
    const add = (name: string, value: string): void => url.searchParams.append(name, value);
    if (authorization !== null) {
      add('account', demand.auth?.username ?? '');
      if (isLogin) {
        add('client_id', CLIENT_ID);
        add('offline_token', 'true');
      }
    }
    for (const scope of demand.scopes) add('scope', scope);
    const { service = '' } = bearer.parameters;
    if (service !== '') add('service', service);
    return await this.#transport.send({
      method: 'GET',
      url: url.href,
      headers: authorization === null ? {} : { authorization },
      ...commonOf(demand),
    });
  }

  /** OAuth2: POST, with the identity token as refresh token. All scopes are one list of words (RFC 6749 section 3.3). */
  async #askByIdentity(realm: URL, bearer: Challenge, demand: Demand): Promise<Answer> {
    const { service = '' } = bearer.parameters;
    const form = new URLSearchParams({
      client_id: CLIENT_ID,
      grant_type: 'refresh_token',
      refresh_token: demand.auth?.identityToken ?? '',
    });
    if (demand.scopes.length > 0) form.set('scope', demand.scopes.join(' '));
    if (service !== '') form.set('service', service);
    return await this.#transport.send({
      method: 'POST',
      url: realm.href,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      ...commonOf(demand),
    });
  }

  #dropStale(): void {
    const now = this.#clock.monotonicMs();
    for (const [key, { staleAtMs }] of this.#tokens) if (staleAtMs <= now) this.#tokens.delete(key);
  }
}

/** Basic credentials as a header; null without a user name. */
export function basicHeader(auth: RegistryAuth | null): string | null {
  const { username = '', password = '' } = auth ?? {};
  if (username === '') return null;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function commonOf({ trust, signal }: Demand): Pick<Exchange, 'trust' | 'retries' | 'bodyWithinMs' | 'signal'> {
  return { trust, retries: TOKEN_RETRIES, bodyWithinMs: TOKEN_BODY_WITHIN_MS, signal };
}

/**
 * The token server's address. What a registry with a checked certificate names must speak TLS too, or no secret goes
 * there: whoever can answer in its place would read it.
 */
function realmOf({ parameters }: Challenge, { auth, trust }: Demand): URL {
  const { realm = '' } = parameters;
  const url = URL.parse(realm);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new InternalError(`unable to use bearer realm ${JSON.stringify(realm)}`);
  }
  const hasSecret = basicHeader(auth) !== null || (auth?.identityToken ?? '') !== '';
  if (url.protocol === 'http:' && trust.verifyTls && hasSecret) {
    throw new ForbiddenError(
      `refused to send credentials to the token server http://${url.host} without TLS: ` +
        `the registry ${trust.host} is not among the insecure registries`,
    );
  }
  return url;
}

/** To read from a repository. */
export function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}

/** To read from and write to a repository. */
export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

/** To delete from a repository. */
export function deleteScope(repository: string): string {
  return `repository:${repository}:delete`;
}

/** To list the repositories of a registry. */
export const CATALOG_SCOPE = 'registry:catalog:*';

/** Hashed, so that no password lies in a map's keys. */
function tokenKey(bearer: Challenge, { scopes, auth }: Demand): string {
  const { realm = '', service = '' } = bearer.parameters;
  const who = [auth?.username, auth?.password, auth?.identityToken];
  return createHash('sha256')
    .update(JSON.stringify([realm, service, scopes, who]))
    .digest('hex');
}
