/**
 * What names mean under the rules of an installation: where a short name is looked for, what a prefix covers, and what
 * is blocked. Pure.
 */
import { ForbiddenError } from '../../base/errors.ts';
import { canonicalName, parseReference, type NamedReference } from '../oci/reference.ts';

export const HUB_DOMAIN = 'docker.io';

/** A repository, without tag and digest. */
export type Repository = Pick<NamedReference, 'domain' | 'path'>;

export interface NameRules {
  /** `--add-registry`: asked in this order before docker.io for names without a registry. */
  readonly addedRegistries: readonly string[];
  /** `--block-registry`: `host[:port]`, `host/path`, `public` (docker.io), `all` or `*` (all that are not added). */
  readonly blockedRegistries: readonly string[];
}

/**
 * All that a user's text can mean, the first choice first: a name without a registry is one of each added registry, then
 * of docker.io. So is one of docker.io that is written out: docker's CLI writes short names out, and gives no sign of it.
 * InvalidArgumentError when it can be no name.
 */
export function searchList(text: string, addedRegistries: readonly string[]): readonly NamedReference[] {
  const plain = parseReference(text);
  if (plain.domain !== HUB_DOMAIN) return [plain];
  const registries = addedRegistries.map((registry) => parsePrefix(registry).name);
  const all = registries.includes(HUB_DOMAIN) ? registries : [...registries, HUB_DOMAIN];
  const short = plain.path.replace(/^library\/(?=[^/]*$)/, '');
  return all.map((registry) =>
    registry === HUB_DOMAIN ? plain : { ...plain, ...repositoryOf(`${registry}/${short}`) },
  );
}

function repositoryOf(name: string): Repository {
  const { domain, path } = parseReference(name);
  return { domain, path };
}

/** ForbiddenError when the repository may not be asked for. */
export function refuseBlocked(repository: Repository, rules: NameRules): void {
  const entry = blockedBy(repository, rules);
  if (entry === null) return;
  const what = canonicalName({ ...repository, tag: null, digest: null });
  throw new ForbiddenError(
    `access to ${what} is refused: the registry is blocked by the configuration of this daemon (block-registry ${entry})`,
  );
}

/** As {@link refuseBlocked}, for all of a registry: login, search. A block of some of its repositories does not count. */
export function refuseBlockedRegistry(domain: string, rules: NameRules): void {
  const entry = blockedBy({ domain, path: '' }, rules);
  if (entry === null) return;
  throw new ForbiddenError(
    `access to ${domain} is refused: the registry is blocked by the configuration of this daemon (block-registry ${entry})`,
  );
}

/** The entry that blocks a repository, as it is written; null when none does. */
export function blockedBy(repository: Repository, rules: NameRules): string | null {
  for (const entry of rules.blockedRegistries) {
    if (entry === 'all' || entry === '*') {
      if (!rules.addedRegistries.some((added) => covers(added, repository))) return entry;
    } else if (covers(entry === 'public' ? HUB_DOMAIN : entry, repository)) return entry;
  }
  return null;
}

/** A registry, or repositories of one: `[http[s]://]host[:port][/path]`. */
export interface Prefix {
  readonly scheme: 'http' | 'https' | null;
  readonly host: string;
  /** `host`, or `host/path`. */
  readonly name: string;
}

/** Reads a prefix. A first word that can be no registry (`alpine`, `suse/sles`) stands below docker.io, as in names. */
export function parsePrefix(text: string): Prefix {
  const [, scheme, rest = ''] = /^(?:(https?):\/\/)?(.*?)\/*$/i.exec(text) ?? [];
  const [first = '', ...path] = rest.split('/');
  const isHost = scheme !== undefined || /[.:]/.test(first) || first === 'localhost';
  const host = !isHost || /^(?:index|registry-1)\.docker\.io$/i.test(first) ? HUB_DOMAIN : first.toLowerCase();
  const words = isHost ? path : [first, ...path];
  return {
    scheme: scheme === undefined ? null : (scheme.toLowerCase() as 'http' | 'https'),
    host,
    name: [host, ...words].join('/'),
  };
}

/**
 * True when the repository is the prefix's or lies below it. A word alone below docker.io is both a namespace and an
 * official image.
 */
export function covers(prefix: string, { domain, path }: Repository): boolean {
  const { name } = parsePrefix(prefix);
  const canonical = `${domain.toLowerCase()}/${path}`;
  const isOfficial = domain === HUB_DOMAIN && path.startsWith('library/');
  const names = isOfficial ? [canonical, `${domain}/${path.slice('library/'.length)}`] : [canonical];
  return names.some((one) => `${one}/`.startsWith(`${name}/`));
}
