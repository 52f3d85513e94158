/**
 * Credentials of the machine: a file in the format of Docker's config.json (`auths`), shown to registries when a request
 * brings none of its own. Whoever may use the engine's socket may use them, and nobody else may read them: a file that
 * others could have written or could read is not used at all.
 *
 *     { "auths": { "r.example:5000":         { "auth": "<base64 of user:password>" },
 *                  "r.example:5000/team":    { "username": "…", "password": "…" },
 *                  "https://index.docker.io/v1/": { "identitytoken": "…" } } }
 *
 * Of the keys that cover a repository, the longest counts.
 */
import { open, stat } from 'node:fs/promises';
import { z } from 'zod';
import { errnoCodeOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RegistryAuth } from './client.ts';
import { covers, parsePrefix, type Repository } from './names.ts';

/** Where credentials come from when a request has none. */
export interface Credentials {
  /** Null when there are none for the repository. Never throws: what is wrong with the file is logged. */
  find(repository: Repository): Promise<RegistryAuth | null>;
}

interface Entry {
  readonly prefix: string;
  readonly auth: RegistryAuth;
}

const MAX_FILE_BYTES = 1024 * 1024;
/** Writing by the group, and anything by others. */
const FORBIDDEN_MODE_BITS = 0o027;

const text = z.string().default('');
const authEntry = z.object({ username: text, password: text, auth: text, identitytoken: text, registrytoken: text });
const authFile = z.looseObject({
  auths: z.record(z.string(), authEntry).nullish(),
  credsStore: z.string().nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
});

export class CredentialsFile implements Credentials {
  readonly #path: string;
  readonly #logger: Logger;
  #stamp = '';
  #entries: Promise<readonly Entry[]> = Promise.resolve([]);

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  async find(repository: Repository): Promise<RegistryAuth | null> {
    const entries = await this.#renewed();
    const matching = entries.filter(({ prefix }) => covers(prefix, repository));
    const best = matching.reduce<Entry | null>(
      (longest, one) => (longest === null || one.prefix.length > longest.prefix.length ? one : longest),
      null,
    );
    return best?.auth ?? null;
  }

  /** Who comes while the file is read waits for what it says. */
  async #renewed(): Promise<readonly Entry[]> {
    const found = await stat(this.#path, { bigint: true }).catch(() => null);
    const stamp = found === null ? '' : [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#entries = stamp === '' ? Promise.resolve([]) : this.#read();
    }
    return await this.#entries;
  }

  /** Nothing of what the file holds is ever said: not even where it is not JSON. */
  async #read(): Promise<readonly Entry[]> {
    const refuse = (reason: string): readonly Entry[] => {
      this.#logger.warn('registry credentials file is not used', { path: this.#path, reason });
      return [];
    };
    try {
      await using file = await open(this.#path, 'r');
      const { uid, mode, size } = await file.stat();
      if (uid !== 0 && uid !== process.geteuid?.()) return refuse('its owner is not root');
      if ((mode & FORBIDDEN_MODE_BITS) !== 0) {
        return refuse('others than root may read or change it: make it mode 0600');
      }
      if (size > MAX_FILE_BYTES) return refuse('it is larger than 1 MiB');
      const parsed = authFile.safeParse(jsonOf(await file.readFile('utf8')));
      if (!parsed.success) return refuse('it is not in the format of Docker’s config.json');
      const { auths, credsStore, credHelpers } = parsed.data;
      if ((credsStore ?? '') !== '' || Object.keys(credHelpers ?? {}).length > 0) {
        this.#logger.warn('credential helpers are not used: the engine runs no programs for credentials', {
          path: this.#path,
        });
      }
      return Object.entries(auths ?? {}).flatMap(([key, entry]) => entryOf(key, entry));
    } catch (error) {
      return refuse(`it cannot be read: ${errnoCodeOf(error) ?? 'unknown error'}`);
    }
  }
}

function jsonOf(content: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch {
    return null;
  }
}

/** `docker login` writes hosts, or URLs with the path of a version of the API. */
function entryOf(key: string, entry: z.infer<typeof authEntry>): readonly Entry[] {
  const prefix = parsePrefix(key.replace(/\/v[12]\/?$/, '')).name;
  const { identitytoken, registrytoken } = entry;
  const [username, password] = entry.username === '' ? pairOf(entry.auth) : [entry.username, entry.password];
  const auth: RegistryAuth = {
    ...(username === '' ? {} : { username, password }),
    ...(identitytoken === '' ? {} : { identityToken: identitytoken }),
    ...(registrytoken === '' ? {} : { registryToken: registrytoken }),
  };
  return Object.keys(auth).length === 0 ? [] : [{ prefix, auth }];
}

/** `auth` is base64 of `user:password`. */
function pairOf(encoded: string): readonly [string, string] {
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? ['', ''] : [decoded.slice(0, colon), decoded.slice(colon + 1).replace(/\0+$/, '')];
}
