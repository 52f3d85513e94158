/** The three files Docker puts into every container: /etc/hostname, /etc/hosts, /etc/resolv.conf. Texts only; pure. */
import { isIP, isIPv6 } from 'node:net';

const LOCAL_NAMES: readonly (readonly [string, string])[] = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::', 'ip6-localnet'],
  ['ff00::', 'ip6-mcastprefix'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
];

/** Where a host without any usable name server sends its containers: Docker's choice. */
const FALLBACK_SERVERS: readonly string[] = ['8.8.8.8', '8.8.4.4'];

/** /etc/hosts of a container with a network of its own. */
export function hostsText(options: {
  /** Address and names, in order. */
  readonly extraHosts: readonly (readonly [string, string])[];
  /** Addresses of its endpoints. */
  readonly addresses: readonly string[];
  readonly hostname: string;
  readonly domainname: string;
}): string {
  const own =
    options.domainname === '' ? options.hostname : `${options.hostname}.${options.domainname} ${options.hostname}`;
  const rows = [...LOCAL_NAMES, ...options.extraHosts, ...options.addresses.map((address) => [address, own] as const)];
  return rows.map(([address, names]) => `${address}\t${names}\n`).join('');
}

/** /etc/hosts of a container in the host's network: the host's own, with the extra names. */
export function hostsTextOfHost(hostText: string, extraHosts: readonly (readonly [string, string])[]): string {
  const base = hostText === '' || hostText.endsWith('\n') ? hostText : `${hostText}\n`;
  return base + extraHosts.map(([address, names]) => `${address}\t${names}\n`).join('');
}

/** `name:ip` or `name=ip` as (ip, name); `host-gateway` becomes `gateway`. Null when it is neither. */
export function parseExtraHost(text: string, gateway: string | null): readonly [string, string] | null {
  const cut = text.search(/[:=]/);
  if (cut < 1) return null;
  const name = text.slice(0, cut);
  const given = text.slice(cut + 1).replace(/^\[(.*)\]$/, '$1');
  const address = given === 'host-gateway' ? gateway : given;
  return address !== null && isIP(address) !== 0 ? [address, name] : null;
}

/** What a container or the daemon wants of resolv.conf; empty lists leave the host's. */
export interface ResolverWishes {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/**
 * /etc/resolv.conf of a container with a network of its own: the host's, without name servers that only the host can
 * reach (127.0.0.0/8, ::1) and, without IPv6, without IPv6 ones; Docker's fall-back when none is left.
 */
export function resolvConfText(
  hostText: string,
  wishes: ResolverWishes,
  network: { readonly ipv6: boolean; readonly own: boolean },
): string {
  const parsed = parseResolvConf(hostText);
  const reachable = parsed.servers.filter((server) => !network.own || isReachable(server, network.ipv6));
  const inherited = reachable.length > 0 || !network.own ? reachable : FALLBACK_SERVERS;
  const servers = wishes.servers.length > 0 ? wishes.servers : inherited;
  const search = wishes.search.length > 0 ? wishes.search.filter((domain) => domain !== '.') : parsed.search;
  const options = wishes.options.length > 0 ? wishes.options : parsed.options;
  const lines = [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** True when systemd-resolved's stub is all the host's file has: the real servers are then in resolved's own file. */
export function namesOnlyResolvedStub(hostText: string): boolean {
  const { servers } = parseResolvConf(hostText);
  return servers.length > 0 && servers.every((server) => server === '127.0.0.53');
}

function parseResolvConf(text: string): ResolverWishes {
  const servers: string[] = [];
  let search: readonly string[] = [];
  const options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined) servers.push(words[0]);
    if (keyword === 'search' || keyword === 'domain') search = words;
    if (keyword === 'options') options.push(...words);
  }
  return { servers, search, options };
}

function isReachable(server: string, ipv6: boolean): boolean {
  if (server.startsWith('127.') || server === '::1') return false;
  const bare = server.replace(/%.*$/, '');
  return ipv6 || !isIPv6(bare);
}
