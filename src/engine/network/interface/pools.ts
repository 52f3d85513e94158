/** Which of a network's pools an address is of, and what that pool says of it. */
import { BlockList, isIPv6 } from 'node:net';
import type { IpamPool, NetworkRecord } from '../types.ts';

/** Keys under which dockerd keeps `--default-gateway` and `--default-gateway-v6` among a pool's reserved addresses. */
export const DEFAULT_GATEWAY_KEY = { ipv4: 'DefaultGatewayIPv4', ipv6: 'DefaultGatewayIPv6' } as const;

/** The two families of addresses. */
export type Family = 'ipv4' | 'ipv6';

/** The pools of one family. */
export function poolsOf({ pools }: Pick<NetworkRecord, 'pools'>, family: Family): readonly IpamPool[] {
  return pools.filter(({ subnet }) => familyOf(subnet) === family);
}

/** The pool that an address lies in; the family's first when it lies in none. */
export function poolOfAddress(network: Pick<NetworkRecord, 'pools'>, address: string): IpamPool | null {
  const pools = poolsOf(network, familyOf(address));
  return (pools.length === 1 ? pools[0] : pools.find(({ subnet }) => contains(subnet, address))) ?? pools[0] ?? null;
}

/** `172.18.0.2` with its pool's prefix length. */
export function withPrefix(pool: IpamPool, address: string): string {
  return `${address}${pool.subnet.slice(pool.subnet.indexOf('/'))}`;
}

/** What the network's own link carries; null: no gateway of this family. */
export function gatewayAddress(pool: IpamPool | undefined): string | null {
  return pool === undefined || pool.gateway === null ? null : withPrefix(pool, pool.gateway);
}

/** Where containers send what is not for their own subnet. */
export function gatewayFor(pool: IpamPool): string | null {
  return pool.auxAddresses[DEFAULT_GATEWAY_KEY[familyOf(pool.subnet)]] ?? pool.gateway;
}

/** Of an address, or of a block. */
export function familyOf(text: string): Family {
  return text.includes(':') ? 'ipv6' : 'ipv4';
}

/** Whether a block contains an address of its family. */
export function contains(subnet: string, address: string): boolean {
  const [base = '', length] = subnet.split('/');
  const family = isIPv6(base) ? 'ipv6' : 'ipv4';
  const block = new BlockList();
  block.addSubnet(base, Number(length), family);
  return block.check(address, family);
}
