/** What a network's pool says, read. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { poolsOf } from '../interface/pools.ts';
import type { IpamPool, NetworkRecord } from '../types.ts';
import { lastOf, parseAddress, parseCidr } from './ip.ts';
import type { Block, Family } from './ip.ts';

/** The block that a pool's subnet names. InvalidArgumentError when it names none. */
export function blockOf(cidr: string): Block {
  const parsed = parseCidr(cidr);
  if (parsed === null) throw new InvalidArgumentError(`invalid CIDR address: ${cidr}`);
  return parsed.block;
}

/** True for a pool that stands for all addresses: IPAM driver `null` gives none. */
export function isUnmanaged({ subnet }: Pick<IpamPool, 'subnet'>): boolean {
  return subnet.endsWith('/0');
}

/** The pools of one family from which addresses are given. */
export function managedPools({ pools }: Pick<NetworkRecord, 'pools'>, family: Family): readonly IpamPool[] {
  return poolsOf({ pools }, family).filter((pool) => !isUnmanaged(pool));
}

/**
 * What of a block is no host's: an IPv4 block's network and broadcast address, but a /31 (RFC 3021) has neither; the first
 * address of an IPv6 block is its routers' anycast address (RFC 4291, section 2.6.1).
 */
export function unusable(block: Block): readonly bigint[] {
  if (block.family === 'ipv6') return [block.base];
  return block.prefixLength >= 31 ? [] : [block.base, lastOf(block)];
}

/** All of a pool that no container gets: also its gateway and auxiliary addresses. */
export function reservedOf(pool: IpamPool): readonly bigint[] {
  const named = [pool.gateway, ...Object.values(pool.auxAddresses)]
    .map((text) => (text === null ? null : parseAddress(text)))
    .filter((address) => address !== null)
    .map(({ value }) => value);
  return [...unusable(blockOf(pool.subnet)), ...named];
}
