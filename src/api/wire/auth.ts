/** Registry credentials: the body of `/auth` and the `X-Registry-Auth` field. */
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
  if (value === undefined || value === '') return null;
  try {
    // Node's base64 reads both alphabets, and does not need padding.
    const json = JSON.parse(Buffer.from(value, 'base64').toString('utf8')) as JsonValue;
    return json === null ? null : registryAuthOf(decodeAs(AUTH_CONFIG, json));
  } catch {
    return null;
  }
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
