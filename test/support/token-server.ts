/**
 * A token server of Portus' kind: it knows users, hands out JSON Web Tokens that Debian's docker-registry takes, and
 * keeps what it was asked. See Docker's "Token Authentication Specification".
 */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TestAuthority, type Certificate } from './certificates.ts';

export interface TokenServerOptions {
  /** Passwords by user. */
  readonly users: Readonly<Record<string, string>>;
  /** What a user ('' is anybody) may do in a repository. */
  readonly allows: (user: string, repository: string, action: string) => boolean;
  /** As told; at least a minute counts with clients. */
  readonly lifeSeconds?: number;
  /** With a certificate it speaks TLS. */
  readonly tls?: Certificate;
  readonly address?: string;
  /** False: POST is answered by 404, as servers do that know only GET. */
  readonly knowsPost?: boolean;
}

/** One request that it was asked. */
export interface TokenRequest {
  readonly method: string;
  readonly user: string;
  readonly scopes: readonly string[];
  readonly status: number;
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  readonly host: string;
  readonly requests: readonly TokenRequest[];
  /** For {@link RegistryOptions.yaml}: makes a registry ask for its tokens. */
  readonly yaml: string;
  /** Identity tokens that it gave away, by user. */
  readonly identityTokens: ReadonlyMap<string, string>;
  /** From now on other tokens than those given so far are wanted: those live this long. */
  setLife(seconds: number): void;
}

const SERVICE = 'test registry';
const ISSUER = 'test issuer';

/** Starts one on a free port. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const authority = new TestAuthority('token issuer');
  const { certificate, key } = authority.issue('signer', 'DNS:signer');
  const requests: TokenRequest[] = [];
  const identityTokens = new Map<string, string>();
  let lifeSeconds = options.lifeSeconds ?? 300;
  const give = makeTokens({ certificate, key });

  const answer = (asked: Asked, reply: ServerResponse): void => {
    const say = (status: number, body: unknown): void => {
      requests.push({ method: asked.method, user: asked.user ?? '?', scopes: asked.scopes, status });
      reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (asked.method === 'POST' && options.knowsPost === false) return say(404, {});
    if (asked.user === null) return say(401, { details: 'incorrect username or password' });
    const { user } = asked;
    const access = asked.scopes.map(parseScope).map(({ type, name, actions }) => ({
      type,
      name,
      actions: actions.filter((action) => options.allows(user, name, action)),
    }));
    const token = give({ user, access, lifeSeconds });
    if (asked.wantsIdentity) identityTokens.set(user, `identity-of-${user}-${randomUUID()}`);
    const refresh = asked.wantsIdentity ? { refresh_token: identityTokens.get(user) } : {};
    say(200, { token, access_token: token, expires_in: lifeSeconds, issued_at: new Date().toISOString(), ...refresh });
  };
  const handle = (request: IncomingMessage, reply: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(readAsked(request, Buffer.concat(chunks), options.users, identityTokens), reply));
  };
  const { tls, address = '127.0.0.1' } = options;
  const server =
    tls === undefined
      ? createPlainServer(handle)
      : createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, handle);
  await new Promise<void>((resolve) => server.listen(0, address, () => resolve()));
  const host = `${address}:${String((server.address() as AddressInfo).port)}`;
  const realm = `${tls === undefined ? 'http' : 'https'}://${host}/token`;
  return {
    realm,
    host,
    requests,
    identityTokens,
    yaml: `auth: {token: {realm: "${realm}", service: "${SERVICE}", issuer: "${ISSUER}", rootcertbundle: "${authority.certificate}"}}`,
    setLife: (seconds) => {
      lifeSeconds = seconds;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      authority[Symbol.dispose]();
    },
  };
}

interface Asked {
  readonly method: string;
  /** Null when who asks cannot prove it; '' for nobody. */
  readonly user: string | null;
  readonly scopes: readonly string[];
  readonly wantsIdentity: boolean;
}

function readAsked(
  { method = '', url = '', headers }: IncomingMessage,
  body: Buffer,
  users: Readonly<Record<string, string>>,
  identityTokens: ReadonlyMap<string, string>,
): Asked {
  const query = new URL(url, 'http://x').searchParams;
  if (method === 'POST') {
    const form = new URLSearchParams(body.toString());
    const shown = form.get('refresh_token');
    const user = [...identityTokens].find(([, token]) => token === shown)?.[0] ?? null;
    return { method, user, scopes: (form.get('scope') ?? '').split(' ').filter(Boolean), wantsIdentity: false };
  }
  const scopes = query.getAll('scope');
  const wantsIdentity = query.get('offline_token') === 'true';
  if (headers.authorization === undefined) return { method, user: '', scopes, wantsIdentity: false };
  const [name = '', password] = Buffer.from(headers.authorization.slice('Basic '.length), 'base64')
    .toString()
    .split(':', 2);
  return { method, user: users[name] === password ? name : null, scopes, wantsIdentity };
}

function parseScope(scope: string): { readonly type: string; readonly name: string; readonly actions: string[] } {
  const [, type = '', name = '', actions = ''] = /^([^:]*):(.*):([^:]*)$/.exec(scope) ?? [];
  return { type, name, actions: actions.split(',') };
}

/** RFC 7515 with the certificate in the header (`x5c`), which the registry checks against its bundle. */
function makeTokens({ certificate, key }: Certificate) {
  const pem = readFileSync(certificate, 'utf8').replace(/-----[^-]+-----|\s/g, '');
  const privateKey = createPrivateKey(readFileSync(key));
  return (claims: { readonly user: string; readonly access: unknown; readonly lifeSeconds: number }): string => {
    const now = Math.floor(Date.now() / 1000);
    const parts = [
      { typ: 'JWT', alg: 'ES256', x5c: [pem] },
      {
        iss: ISSUER,
        sub: claims.user,
        aud: SERVICE,
        exp: now + claims.lifeSeconds,
        nbf: now - 60,
        iat: now,
        jti: randomUUID(),
        access: claims.access,
      },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const signature = sign('sha256', Buffer.from(parts.join('.')), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return [...parts, signature.toString('base64url')].join('.');
  };
}
