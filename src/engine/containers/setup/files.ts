/** What Docker puts into /etc/hosts of every container. Texts only; pure. */
import { isIP, isIPv6 } from 'node:net';

/** An address and what it is called. */
export type HostsRow = readonly [address: string, names: string];

const LOCAL_NAMES: readonly HostsRow[] = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::', 'ip6-localnet'],
  ['ff00::', 'ip6-mcastprefix'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
];

/** /etc/hosts of a container. */
export function hostsText(options: {
  readonly extraHosts: readonly HostsRow[];
  readonly own: readonly HostsRow[];
  /** Without it nothing of IPv6 is named: looking a name up would end at an address that cannot be reached. */
  readonly ipv6: boolean;
}): string {
  const rows = [...LOCAL_NAMES, ...options.extraHosts, ...options.own];
  return rows
    .filter(([address]) => options.ipv6 || !isIPv6(address))
    .map(hostsLine)
    .join('');
}

/** A container's own name for each of its addresses, the full one first; a host name with dots is a full one. */
export function ownRows(
  addresses: readonly string[],
  { hostname, domainname }: { readonly hostname: string; readonly domainname: string },
): readonly HostsRow[] {
  const full = domainname === '' ? hostname : `${hostname}.${domainname}`;
  const [first = ''] = full.split('.', 1);
  const names = first === full ? full : `${full} ${first}`;
  return addresses.map((address) => [address, names]);
}

/**
 * A hosts file after rows have gone and others have come. All else stays as whoever is inside has made it; a line that he
 * has changed is no longer ours.
 */
export function hostsWith(text: string, gone: readonly HostsRow[], come: readonly HostsRow[]): string {
  const goneLines = new Set(gone.map((row) => hostsLine(row).trimEnd()));
  const kept = text.split('\n').filter((line) => !goneLines.has(line));
  const base = kept.join('\n');
  return `${base}${base === '' || base.endsWith('\n') ? '' : '\n'}${come.map(hostsLine).join('')}`;
}

function hostsLine([address, names]: HostsRow): string {
  return `${address}\t${names}\n`;
}

/**
 * `name:ip` or `name=ip` as rows; `host-gateway` stands for all the `gateways`. Empty when it is neither, or there is no
 * gateway.
 */
export function parseExtraHost(text: string, gateways: readonly string[]): readonly HostsRow[] {
  const cut = text.search(/[:=]/);
  if (cut < 1) return [];
  const name = text.slice(0, cut);
  const given = text.slice(cut + 1).replace(/^\[(.*)\]$/, '$1');
  const addresses = given === 'host-gateway' ? gateways : [given];
  return addresses.filter((address) => isIP(address) !== 0).map((address) => [address, name]);
}
