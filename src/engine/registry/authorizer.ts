/**
 * Answers a registry's challenge: Basic credentials, or a Bearer token from the token server it names (Docker's token
 * spec). Tokens are kept until shortly before they expire; credentials are never kept or logged.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { InternalError, UnauthorizedError } from '../../base/errors.ts';
import type { Challenge } from './challenge.ts';
import type { RegistryAuth } from './client.ts';
import { MAX_ERROR_BODY_BYTES, refusalError } from './failures.ts';
import { readBody, readRefusal, type Transport } from './transport.ts';
import { parseToken, type TokenAnswer } from './wire.ts';

/** Who asks for what. */
export interface Demand {
  readonly challenges: readonly Challenge[];
  /** Null when only the login itself is checked. */
  readonly repository: string | null;
  readonly auth: RegistryAuth | null;
  readonly verifyTls: boolean;
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
    const { realm = '', service = '' } = bearer.parameters;
    if (!URL.canParse(realm)) throw new InternalError(`unable to use bearer realm ${JSON.stringify(realm)}`);
    const identity = demand.auth?.identityToken ?? '';
    const form = new URLSearchParams();
    const basic = identity === '' ? basicHeader(demand.auth) : null;
    if (identity !== '') {
      form.set('client_id', CLIENT_ID);
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', identity);
    } else if (basic !== null) {
      form.set('account', demand.auth?.username ?? '');
      if (isLogin) {
        form.set('client_id', CLIENT_ID);
        form.set('offline_token', 'true');
      }
    }
    if (demand.repository !== null) form.set('scope', scopeOf(demand.repository));
    if (service !== '') form.set('service', service);
    const url = new URL(realm);
    if (identity === '') for (const [name, value] of form) url.searchParams.set(name, value);
    const answer = await this.#transport.send({
      method: identity === '' ? 'GET' : 'POST',
      url: url.href,
      headers: {
        ...(basic === null ? {} : { authorization: basic }),
        ...(identity === '' ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(identity === '' ? {} : { body: form.toString() }),
      verifyTls: demand.verifyTls,
      retries: TOKEN_RETRIES,
      signal: demand.signal,
    });
    if (answer.status < 200 || answer.status >= 300) {
      const refused = await readRefusal(answer);
      throw refusalError(refused, refused.text);
    }
    return parseToken((await readBody(answer.body, MAX_ERROR_BODY_BYTES)).toString('utf8'));
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

function scopeOf(repository: string): string {
  return `repository:${repository}:pull`;
}

/** Hashed, so that no password lies in a map's keys. */
function tokenKey(bearer: Challenge, { repository, auth }: Demand): string {
  const { realm = '', service = '' } = bearer.parameters;
  const who = [auth?.username, auth?.password, auth?.identityToken];
  return createHash('sha256')
    .update(JSON.stringify([realm, service, repository, who]))
    .digest('hex');
}
