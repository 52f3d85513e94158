import { InvalidArgumentError } from '../../base/errors.ts';
import { isDigest, type Digest } from './digest.ts';

/** A repository with its registry, with a tag, a digest, or both; normalised as Docker does. */
export interface NamedReference {
  /** Registry host with port: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** Repository within the registry: `library/busybox`. */
  readonly path: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
}

const DEFAULT_DOMAIN = 'docker.io';
const OFFICIAL_PREFIX = 'library/';
const MAX_NAME_LENGTH = 255;

const PATH_COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const DOMAIN_COMPONENT = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const REFERENCE = new RegExp(
  `^((?:${DOMAIN}/)?${PATH_COMPONENT}(?:/${PATH_COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

/**
 * Parses what a user wrote (`busybox`, `host:5000/a/b:tag@sha256:…`) and normalises it (`docker.io/library/busybox`).
 * The tag stays null when none was given; see {@link withDefaultTag}. Throws InvalidArgumentError in Docker's words.
 */
export function parseReference(text: string): NamedReference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw new InvalidArgumentError(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { domain, rest } = splitDomain(text);
  const remoteName = rest.split(/[:@]/, 1)[0] ?? '';
  if (remoteName !== remoteName.toLowerCase()) {
    throw new InvalidArgumentError(`invalid reference format: repository name (${remoteName}) must be lowercase`);
  }
  const match = REFERENCE.exec(`${domain}/${rest}`);
  const [, name, tag, digest] = match ?? [];
  if (name === undefined) throw new InvalidArgumentError('invalid reference format');
  if (digest !== undefined && !isDigest(digest)) throw new InvalidArgumentError('invalid reference format');
  const path = name.slice(domain.length + 1);
  if (path.length > MAX_NAME_LENGTH) {
    throw new InvalidArgumentError(`repository name must not be more than ${String(MAX_NAME_LENGTH)} characters`);
  }
  return { domain, path, tag: tag ?? null, digest: digest ?? null };
}

/** The reference with tag `latest` when it has neither tag nor digest. */
export function withDefaultTag(reference: NamedReference): NamedReference {
  return reference.tag === null && reference.digest === null ? { ...reference, tag: 'latest' } : reference;
}

/** As users write it: `busybox`, `localhost:5000/a/b`; no tag, no digest. */
export function familiarName(reference: NamedReference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return `${reference.domain}/${reference.path}`;
  const path = reference.path;
  // `docker.io/a.b/c` must not become `a.b/c`: that is another registry's.
  if (path.includes('/') && namesRegistry(path.slice(0, path.indexOf('/')))) return `${reference.domain}/${path}`;
  return path.startsWith(OFFICIAL_PREFIX) && !path.slice(OFFICIAL_PREFIX.length).includes('/')
    ? path.slice(OFFICIAL_PREFIX.length)
    : path;
}

/** As users write it, with tag and digest where there are. */
export function familiarString(reference: NamedReference): string {
  const tag = reference.tag === null ? '' : `:${reference.tag}`;
  const digest = reference.digest === null ? '' : `@${reference.digest}`;
  return `${familiarName(reference)}${tag}${digest}`;
}

/** Fully qualified name without tag and digest: `docker.io/library/busybox`. */
export function canonicalName(reference: NamedReference): string {
  return `${reference.domain}/${reference.path}`;
}

function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isDomain = slash >= 0 && namesRegistry(first);
  if (!isDomain) {
    const rest = text.includes('/') ? text : `${OFFICIAL_PREFIX}${text}`;
    return { domain: DEFAULT_DOMAIN, rest };
  }
  const rest = text.slice(slash + 1);
  const domain = first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  return { domain, rest: domain === DEFAULT_DOMAIN && !rest.includes('/') ? `${OFFICIAL_PREFIX}${rest}` : rest };
}

/** Docker's rule for the first word of a name: does it name a registry, or is it the first part of a Hub repository? */
function namesRegistry(word: string): boolean {
  return /[.:]/.test(word) || word === 'localhost' || word !== word.toLowerCase();
}
