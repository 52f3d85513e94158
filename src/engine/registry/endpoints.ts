/**
 * Where a repository is asked for: base URLs in the order in which they are tried. Pure; the addresses of names are given.
 * Docker's rules: `docker.io` lives at registry-1.docker.io, its mirrors come first; HTTPS everywhere; a registry is
 * *insecure* (certificate not checked, plain HTTP as a last resort) when it is on this machine or named as such. Beyond
 * them, mirrors for any prefix: of the prefixes that cover a repository, the longest counts.
 */
import { isIP } from 'node:net';
import { InvalidArgumentError } from '../../base/errors.ts';
import { covers, HUB_DOMAIN, parsePrefix, type Repository } from './names.ts';
import { isWithin } from './proxies.ts';

/** One place to ask. */
export interface Endpoint {
  /** `https://registry-1.docker.io`, without a slash at the end. */
  readonly baseUrl: string;
  /** Its name below `certs.d`: `registry-1.docker.io`, `localhost:5000`. */
  readonly host: string;
  /** Put before each repository's name there: '' or ending in a slash. */
  readonly namePrefix: string;
  /** A mirror may be out of date or broken: any failure goes on to the next endpoint. */
  readonly isMirror: boolean;
  readonly verifyTls: boolean;
}

/** Mirrors of all repositories that a prefix covers. */
export interface PrefixMirrors {
  /** `[http[s]://]host[:port][/path]`; `http://` means that the registry is asked by plain HTTP and nothing else. */
  readonly prefix: string;
  /** URLs in the order of trial. Names lie below a path: `https://m.example/suse` has `suse/NAME`. */
  readonly mirrors: readonly string[];
}

export interface EndpointRules {
  /** `host`, `host:port` or a CIDR block. */
  readonly insecureRegistries: readonly string[];
  /** Base URLs that mirror docker.io. */
  readonly mirrors: readonly string[];
  readonly mirrorsByPrefix: readonly PrefixMirrors[];
}

/** The addresses of a host; empty when it has none. Only asked about names, for CIDR blocks. */
export type Addresses = (host: string) => readonly string[];

const HUB_HOST = 'registry-1.docker.io';
const ON_THIS_MACHINE = ['127.0.0.0/8', '::1/128'];
const unknown: Addresses = () => [];

/** The endpoints of a repository, first choice first. */
export function endpointsOf(
  repository: Repository,
  rules: EndpointRules,
  addresses: Addresses = unknown,
): readonly Endpoint[] {
  const isHub = repository.domain === HUB_DOMAIN;
  const host = isHub ? HUB_HOST : repository.domain;
  const rule = longestPrefix(repository, rules.mirrorsByPrefix);
  const mirrors = [
    ...(rule?.mirrors ?? []).map((url) => mirrorOf(url, rules, addresses)),
    ...(isHub ? rules.mirrors.map((url) => hubMirrorOf(url, rules, addresses)) : []),
  ];
  return [...mirrors, ...ownEndpoints(host, isPlain(repository.domain, rules), rules, addresses)];
}

/** The hosts whose addresses {@link endpointsOf} would ask for. */
export function hostsToLookUp(repository: Repository, rules: EndpointRules): readonly string[] {
  const asked = new Set<string>();
  endpointsOf(repository, rules, (host) => {
    asked.add(host);
    return [];
  });
  return [...asked];
}

/** The registry's domain in what `docker login` sends: a host, a URL, or nothing for Docker Hub. */
export function domainOfServerAddress(serverAddress: string): string {
  const host = serverAddress.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return host === '' || host === 'index.docker.io' || host === HUB_HOST ? HUB_DOMAIN : host;
}

/** What users type is put into URLs: InvalidArgumentError when it is no `host[:port]`. */
export function assertDomain(domain: string): void {
  const url = URL.parse(`https://${domain}/`);
  const isHost = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d+)?$/i.test(domain);
  if (url !== null && isHost) return;
  throw new InvalidArgumentError(`invalid registry host ${JSON.stringify(domain)}`);
}

/** True when the certificate of `host[:port]` is not checked and plain HTTP is allowed. */
export function isInsecure(
  host: string,
  insecureRegistries: readonly string[],
  addresses: Addresses = unknown,
): boolean {
  const wanted = host.toLowerCase();
  const name = hostNameOf(wanted);
  if (name === 'localhost') return true;
  const entries = insecureRegistries.map((entry) => entry.toLowerCase().replace(/^https?:\/\//, ''));
  if (entries.includes(wanted) || entries.includes(name)) return true;
  const blocks = [...ON_THIS_MACHINE, ...entries.filter((entry) => entry.includes('/'))];
  const own = isIP(name) === 0 ? addresses(name) : [name];
  return own.some((address) => blocks.some((block) => isWithin(address, block)));
}

/** HTTPS, and HTTP after it where the host is insecure; only HTTP where a prefix says so. */
function ownEndpoints(
  host: string,
  plain: boolean,
  { insecureRegistries }: EndpointRules,
  addresses: Addresses,
): readonly Endpoint[] {
  const verifyTls = !plain && !isInsecure(host, insecureRegistries, addresses);
  const own = { host, namePrefix: '', isMirror: false, verifyTls };
  const byHttp = { ...own, baseUrl: `http://${host}` };
  if (plain) return [byHttp];
  return [{ ...own, baseUrl: `https://${host}` }, ...(verifyTls ? [] : [byHttp])];
}

function longestPrefix(repository: Repository, all: readonly PrefixMirrors[]): PrefixMirrors | null {
  const matching = all.filter(({ prefix }) => covers(prefix, repository));
  const lengthOf = ({ prefix }: PrefixMirrors): number => parsePrefix(prefix).name.length;
  return matching.reduce<PrefixMirrors | null>(
    (best, one) => (best === null || lengthOf(one) > lengthOf(best) ? one : best),
    null,
  );
}

/** The scheme belongs to the host, whichever of its repositories the prefix names. */
function isPlain(domain: string, { mirrorsByPrefix }: EndpointRules): boolean {
  const host = domain.toLowerCase();
  return mirrorsByPrefix.some(({ prefix }) => {
    const parsed = parsePrefix(prefix);
    return parsed.scheme === 'http' && parsed.host === host;
  });
}

function mirrorOf(url: string, rules: EndpointRules, addresses: Addresses): Endpoint {
  const { origin, host, path } = splitUrl(url);
  const verifyTls = !isInsecure(host, rules.insecureRegistries, addresses);
  return { baseUrl: origin, host, namePrefix: path === '' ? '' : `${path}/`, isMirror: true, verifyTls };
}

/** dockerd puts the path of these before `/v2/`. */
function hubMirrorOf(url: string, rules: EndpointRules, addresses: Addresses): Endpoint {
  const { origin, path } = splitUrl(url);
  const mirror = mirrorOf(origin, rules, addresses);
  return { ...mirror, baseUrl: path === '' ? origin : `${origin}/${path}` };
}

function splitUrl(url: string): { readonly origin: string; readonly host: string; readonly path: string } {
  const { origin, host, pathname } = new URL(url);
  return { origin, host, path: pathname.replace(/^\/+|\/+$/g, '') };
}

function hostNameOf(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d+$/, '');
}
