/** Registry credentials: the body of `/auth`, and the fields `X-Registry-Auth` and `X-Registry-Config`. */
import type { RegistryAuth } from '../../engine/index.ts';
import { decodeAs, struct, text, type ValueOf } from './go-struct.ts';
import type { JsonValue } from '../../base/json.ts';

export const AUTH_CONFIG = struct('registry.AuthConfig', {
  username: text,
  password: text,
  auth: text,
  email: text,
  serveraddress: text,
  identitytoken: text,
  registrytoken: text,
});
type AuthConfig = ValueOf<typeof AUTH_CONFIG>;

const HUB_DOMAIN = 'docker.io';
const HUB_HOSTS: readonly string[] = ['', 'index.docker.io', 'registry-1.docker.io'];

/** In the engine's words; null when there is nothing to prove anything with. */
export function registryAuthOf(config: AuthConfig): RegistryAuth | null {
  const [user, password] = basicOf(config);
  const auth: RegistryAuth = {
    ...(user === '' ? {} : { username: user }),
    ...(password === '' ? {} : { password }),
    ...word('identityToken', config.identitytoken),
    ...word('registryToken', config.registrytoken),
  };
  return Object.keys(auth).length === 0 ? null : auth;
}

/**
 * The field's value is base64 of JSON. Docker's own rule for pull and push: what cannot be decoded is ignored. Both
 * alphabets, with or without padding, are read: half of all client libraries send the wrong one.
 */
export function registryAuthOfField(value: string | undefined): RegistryAuth | null {
  const json = jsonOfField(value);
  return json === null ? null : authOfJson(json);
}

/**
 * `X-Registry-Config`: credentials for many registries, an object of what `X-Registry-Auth` holds by registry, as
 * config.json names them (hosts, or URLs). Read as leniently: an entry that is none is left out.
 */
export function registryConfigOfField(value: string | undefined): ReadonlyMap<string, RegistryAuth> {
  const json = jsonOfField(value);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return new Map();
  return new Map(
    Object.entries(json).flatMap(([server, entry]) => {
      const auth = authOfJson(entry ?? null);
      return auth === null ? [] : [[domainOf(server), auth] as const];
    }),
  );
}

/** What a request shows for one image: its own field, else its registry's entry among the many. */
export function registryAuthFor(
  reference: string,
  fields: { get(name: string): string | undefined },
): RegistryAuth | null {
  const own = registryAuthOfField(fields.get('x-registry-auth'));
  if (own !== null) return own;
  const [first = '', ...rest] = reference.split('/');
  const isDomain = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  return registryConfigOfField(fields.get('x-registry-config')).get(isDomain ? domainOf(first) : HUB_DOMAIN) ?? null;
}

function jsonOfField(value: string | undefined): JsonValue {
  if (value === undefined || value === '') return null;
  try {
    // Node's base64 reads both alphabets, and does not need padding.
    return JSON.parse(Buffer.from(value, 'base64').toString('utf8')) as JsonValue;
  } catch {
    return null;
  }
}

function authOfJson(json: JsonValue): RegistryAuth | null {
  try {
    return json === null ? null : registryAuthOf(decodeAs(AUTH_CONFIG, json));
  } catch {
    return null;
  }
}

function domainOf(server: string): string {
  const host = server.replace(/^https?:\/\//i, '').split('/', 1)[0] ?? '';
  return HUB_HOSTS.includes(host) ? HUB_DOMAIN : host;
}

/** `auth` is base64 of `user:password`, as in config.json. */
function basicOf({ username = '', password = '', auth = '' }: AuthConfig): readonly [string, string] {
  if (username !== '' || auth === '') return [username, password];
  const decoded = Buffer.from(auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? ['', ''] : [decoded.slice(0, colon), decoded.slice(colon + 1).replace(/\0+$/, '')];
}

function word<K extends string>(name: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || value === '' ? {} : ({ [name]: value } as Record<K, string>);
}
