/**
 * What `RUN --mount=type=secret` and `type=ssh` of a build may have. Docker hands these over in BuildKit's session, and has
 * no place for them in a plain request: ours are two fields, which also the docker CLI sends when its config.json says
 * so (`HttpHeaders`).
 *
 *   X-Moored-Build-Secrets: base64 of {"id":"base64 of the value", "name of a secret of the engine's own":null, …}
 *   X-Moored-Build-SSH:     base64 of {"default":"/path/of/an/agent's/socket", …}
 */
import { isAbsolute } from 'node:path';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { BuildRequest } from '../../engine/index.ts';

/** BuildKit's own limit. */
const MAX_SECRET_BYTES = 500 * 1024;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

export function buildSecretsOf(field: string | undefined): BuildRequest['secrets'] {
  const given = wordsOf('X-Moored-Build-Secrets', field);
  return new Map(
    [...given].map(([id, value]) => {
      if (value === null) return [id, null];
      if (!BASE64.test(value)) throw new InvalidArgumentError(`X-Moored-Build-Secrets: ${id} is not base64`);
      const bytes = Buffer.from(value, 'base64');
      if (bytes.length > MAX_SECRET_BYTES) {
        throw new InvalidArgumentError(`invalid secret size ${String(bytes.length)}: more than 500KB`);
      }
      return [id, bytes];
    }),
  );
}

export function sshAgentsOf(field: string | undefined): ReadonlyMap<string, string> {
  const given = [...wordsOf('X-Moored-Build-SSH', field)];
  return new Map(
    given.map(([id, path]) => {
      if (path === null || !isAbsolute(path)) {
        throw new InvalidArgumentError(`X-Moored-Build-SSH: ${id} needs the absolute path of an agent's socket`);
      }
      return [id, path];
    }),
  );
}

/** Unlike credentials of registries, what cannot be read is no guess: a build without its secret fails far from here. */
function wordsOf(name: string, field: string | undefined): ReadonlyMap<string, string | null> {
  if (field === undefined || field === '') return new Map();
  const json = readJson(name, field);
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
  const entries = isObject ? Object.entries(json as Readonly<Record<string, unknown>>) : [];
  if (!isObject || !entries.every((entry): entry is [string, string | null] => isWord(entry[1]))) {
    throw new InvalidArgumentError(`${name}: not an object of strings`);
  }
  if (entries.some(([id]) => id === '')) throw new InvalidArgumentError(`${name}: an id is empty`);
  return new Map(entries);
}

function isWord(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function readJson(name: string, field: string): unknown {
  try {
    return JSON.parse(Buffer.from(field, 'base64').toString('utf8'));
  } catch (error) {
    throw new InvalidArgumentError(`${name}: not base64 of JSON`, { cause: error });
  }
}
