import { InvalidArgumentError } from '../../base/errors.ts';
import type { RegistryAuth } from '../../engine/index.ts';

/** Keys of `Auth a{ss}`, in Docker's words for the same, and the engine's. */
const KEYS: Readonly<Record<string, keyof RegistryAuth>> = {
  username: 'username',
  password: 'password',
  identitytoken: 'identityToken',
  registrytoken: 'registryToken',
};

/**
 * Credentials for a registry; null when there are none. They are never logged: an error names the key and no value.
 */
export function registryAuthOf(auth: Readonly<Record<string, string>>): RegistryAuth | null {
  const entries = Object.entries(auth).map(([name, value]) => {
    const lower = name.toLowerCase();
    const key = Object.hasOwn(KEYS, lower) ? KEYS[lower] : undefined;
    if (key === undefined) throw new InvalidArgumentError(`unknown key ${JSON.stringify(name)} in Auth`);
    return [key, value] as const;
  });
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
