/** What wishes come to on one target: which rows, and which of them must have the same host port. Pure. */
import type { PublishTarget } from '../ports.ts';
import type { ContainerPort, PortBinding, PortProtocol } from '../types.ts';
import { ANY_IPV4, ANY_IPV6, canonicalAddress, compareAddresses } from './host-address.ts';

/** One host address of a published port. */
export interface RowWish {
  readonly hostIp: string;
  readonly endpointIpAddress: string;
  /** The container's own port is opened; the host has none for it. */
  readonly routed: boolean;
}

/** Rows with one and the same host port. */
export interface PortGroup {
  readonly container: ContainerPort;
  /** First and last acceptable host port; 0 and 0 mean any. */
  readonly first: number;
  readonly last: number;
  readonly rows: readonly RowWish[];
}

/** What the host can do. */
export interface HostAbilities {
  /** A port can be bound on IPv6 addresses. */
  readonly ipv6: boolean;
  /** A proxy may lead IPv6 to a container that has IPv4 only. */
  readonly proxy: boolean;
}

/**
 * Docker's order (libnetwork's `cmpPortBinding`): exact host ports before ranges and random ones, which might take them
 * otherwise; then by container port, protocol, host ports, host address. Wishes that differ in the host address alone share a group.
 */
export function portGroups(
  target: PublishTarget,
  bindings: readonly PortBinding[],
  host: HostAbilities,
): readonly PortGroup[] {
  const wishes = bindings.map((wish) => {
    const hostIp = wish.hostIp === '' ? '' : canonicalAddress(wish.hostIp);
    return hostIp === wish.hostIp ? wish : { ...wish, hostIp };
  });
  wishes.sort(compareWishes);
  const rowsOfWish = rememberedRows(target, host);
  const groups: PortGroup[] = [];
  let rows: readonly RowWish[] = [];
  wishes.forEach((wish, index) => {
    const own = rowsOfWish(wish);
    rows = rows.length === 0 ? own : [...rows, ...own];
    const next = wishes[index + 1];
    if (next !== undefined && shareAPort(wish, next) && !overlap(rows, rowsOfWish(next))) return;
    if (rows.length > 0) {
      groups.push({ container: wish.container, first: wish.hostPortStart, last: wish.hostPortEnd, rows });
    }
    rows = [];
  });
  return groups;
}

/** Wishes that follow each other have most often the very same rows: thousands of ports share one list. */
function rememberedRows(target: PublishTarget, host: HostAbilities): (wish: PortBinding) => readonly RowWish[] {
  let before: PortBinding | null = null;
  let rows: readonly RowWish[] = [];
  return (wish) => {
    const isAlike = before?.hostIp === wish.hostIp && before.container.protocol === wish.container.protocol;
    if (!isAlike) rows = rowsOf(target, wish, host);
    before = wish;
    return rows;
  };
}

function rowsOf(target: PublishTarget, { hostIp, container }: PortBinding, host: HostAbilities): readonly RowWish[] {
  const address = hostIp === '' ? canonicalAddress(target.hostBinding) : hostIp;
  // Nothing but the packet filter leads SCTP.
  const proxy = host.proxy && container.protocol !== 'sctp';
  const ipv4 = ipv4Row(target, address);
  const ipv6 = ipv6Row(target, { isImplied: hostIp === '' && address === ANY_IPV4, address }, { ...host, proxy });
  return [ipv4, ipv6].filter((row) => row !== null);
}

function ipv4Row({ ipv4Address, ipv4Mode }: PublishTarget, address: string): RowWish | null {
  if (ipv4Address === null || address.includes(':')) return null;
  const routed = ipv4Mode === 'routed';
  return { hostIp: routed ? ANY_IPV4 : address, endpointIpAddress: ipv4Address, routed };
}

/** No address at all means every address of both families (`isImplied`), where the default does not say otherwise. */
function ipv6Row(
  target: PublishTarget,
  { isImplied, address }: { readonly isImplied: boolean; readonly address: string },
  host: HostAbilities,
): RowWish | null {
  const own = target.ipv6Address ?? null;
  const mayProxy = host.proxy && target.ipv6ToIpv4 !== false && target.ipv4Mode !== 'routed';
  const endpointIpAddress = own ?? (mayProxy ? target.ipv4Address : null);
  if (endpointIpAddress === null) return null;
  if (isImplied ? !host.ipv6 : !address.includes(':')) return null;
  const routed = own !== null && target.ipv6Mode === 'routed';
  return { hostIp: isImplied || routed ? ANY_IPV6 : address, endpointIpAddress, routed };
}

const PROTOCOL_ORDER: Readonly<Record<PortProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

function compareWishes(a: PortBinding, b: PortBinding): number {
  return (
    Number(mayChoose(a)) - Number(mayChoose(b)) ||
    a.container.port - b.container.port ||
    PROTOCOL_ORDER[a.container.protocol] - PROTOCOL_ORDER[b.container.protocol] ||
    a.hostPortStart - b.hostPortStart ||
    a.hostPortEnd - b.hostPortEnd ||
    compareAddresses(a.hostIp, b.hostIp)
  );
}

function mayChoose({ hostPortStart, hostPortEnd }: PortBinding): boolean {
  return hostPortStart === 0 || hostPortStart !== hostPortEnd;
}

/** One address has a port once: the second wish for it is judged by itself. */
function overlap(rows: readonly RowWish[], others: readonly RowWish[]): boolean {
  return rows.some(({ hostIp, routed }) => !routed && others.some((other) => other.hostIp === hostIp));
}

function shareAPort(a: PortBinding, b: PortBinding): boolean {
  return (
    a.container.port === b.container.port &&
    a.container.protocol === b.container.protocol &&
    a.hostPortStart === b.hostPortStart &&
    a.hostPortEnd === b.hostPortEnd
  );
}
