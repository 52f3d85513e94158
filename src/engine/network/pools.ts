import { InvalidArgumentError } from '../../base/errors.ts';
import {
  containsAddress,
  containsSubnet,
  formatIpv4,
  formatSubnet,
  overlaps,
  parseCidr,
  parseIpv4,
  sizeOf,
} from './ipv4.ts';
import type { Subnet } from './ipv4.ts';
import { noFreePool } from './messages.ts';
import type { IpamPool } from './types.ts';

/** A block from which networks get pools of `prefixLength`. */
export interface AddressPoolBlock {
  /** CIDR. */
  readonly base: string;
  readonly prefixLength: number;
}

/** dockerd's defaults for local networks. */
export const DEFAULT_ADDRESS_POOLS: readonly AddressPoolBlock[] = [
  { base: '172.17.0.0/16', prefixLength: 16 },
  { base: '172.18.0.0/16', prefixLength: 16 },
  { base: '172.19.0.0/16', prefixLength: 16 },
  { base: '172.20.0.0/14', prefixLength: 16 },
  { base: '172.24.0.0/14', prefixLength: 16 },
  { base: '172.28.0.0/14', prefixLength: 16 },
  { base: '192.168.0.0/16', prefixLength: 20 },
];

/** Key under which dockerd keeps `--default-gateway` among a pool's reserved addresses. */
const DEFAULT_GATEWAY_KEY = 'DefaultGatewayIPv4';

/**
 * The first pool of `blocks` that overlaps nothing of `taken` (routes, addresses and name servers of the host, pools of
 * other networks). `preferred` is tried first: a network keeps its addresses over restarts while it can.
 */
export function choosePool(
  blocks: readonly AddressPoolBlock[],
  taken: readonly Subnet[],
  preferred: Subnet | null,
): Subnet {
  const isFree = (candidate: Subnet): boolean => !taken.some((other) => overlaps(other, candidate));
  if (preferred !== null && isFree(preferred)) return preferred;
  for (const block of blocks) {
    const outer = parseCidr(block.base)?.subnet;
    if (outer === undefined || block.prefixLength < outer.prefixLength || block.prefixLength > 30) {
      throw new InvalidArgumentError(
        `invalid default address pool: base ${block.base}, size ${String(block.prefixLength)}`,
      );
    }
    const step = 2 ** (32 - block.prefixLength);
    for (let base = outer.base; base < outer.base + sizeOf(outer); base += step) {
      const candidate = { base, prefixLength: block.prefixLength };
      if (isFree(candidate)) return candidate;
    }
  }
  throw noFreePool();
}

/** The pool of the default bridge, from the daemon's flags and what the bridge already has. */
export function defaultBridgePool(
  wish: { readonly bip: string | null; readonly fixedCidr: string | null; readonly defaultGateway: string | null },
  existingAddress: string | null,
  choose: () => Subnet,
): IpamPool {
  const range = wish.fixedCidr === null ? null : cidrOf(wish.fixedCidr).subnet;
  const { address, subnet } = ownAddress(wish.bip ?? existingAddress, range ?? null, choose);
  if (range !== null && !containsSubnet(subnet, range)) {
    throw new InvalidArgumentError('container subnet must be a subset of bridge network');
  }
  if (wish.defaultGateway !== null) {
    const gateway = parseIpv4(wish.defaultGateway);
    if (gateway === null || !containsAddress(subnet, gateway)) {
      throw new InvalidArgumentError('default gateway ip must be part of the network');
    }
  }
  return {
    subnet: formatSubnet(subnet),
    gateway: formatIpv4(address),
    ipRange: range === null ? null : formatSubnet(range),
    auxAddresses: wish.defaultGateway === null ? {} : { [DEFAULT_GATEWAY_KEY]: wish.defaultGateway },
  };
}

/** Where a pool's containers send what is not for their own subnet. */
export function defaultGatewayOf(pool: IpamPool): string | null {
  return pool.auxAddresses[DEFAULT_GATEWAY_KEY] ?? pool.gateway;
}

/** `172.17.0.1/16`: what the bridge itself carries; null without a gateway. */
export function bridgeAddressOf(pool: IpamPool): string | null {
  return pool.gateway === null ? null : `${pool.gateway}/${String(cidrOf(pool.subnet).subnet.prefixLength)}`;
}

function ownAddress(
  cidr: string | null,
  range: Subnet | null,
  choose: () => Subnet,
): { address: number; subnet: Subnet } {
  if (cidr !== null) return cidrOf(cidr);
  const subnet = range ?? choose();
  return { address: subnet.base + 1, subnet };
}

function cidrOf(text: string): { address: number; subnet: Subnet } {
  const cidr = parseCidr(text);
  if (cidr === null) throw new InvalidArgumentError(`invalid CIDR address: ${text}`);
  return cidr;
}
