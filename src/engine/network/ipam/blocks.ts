import { createHash } from 'node:crypto';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { ADDRESS_BITS, formatBlock, lastOf, parseCidr } from './ip.ts';
import type { Block, Family } from './ip.ts';
import { noFreePool } from './messages.ts';

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

const ULA_PREFIX_LENGTH = 48;
const ULA_POOL_LENGTH = 64;
/** Where the 40 bits of a ULA's global id stand. */
const GLOBAL_ID_SHIFT = 80n;
const GLOBAL_ID_MASK = (1n << 40n) - 1n;

/**
 * The blocks with a /48 of unique local addresses of this engine's own added, unless there are IPv6 blocks among them. It
 * follows from the engine's id as dockerd's does, so that it stays the same (RFC 4193, section 3.2.2).
 */
export function withUniqueLocal(blocks: readonly AddressPoolBlock[], engineId: string): readonly AddressPoolBlock[] {
  if (blocks.some(({ base }) => parseCidr(base)?.block.family === 'ipv6')) return blocks;
  const digest = createHash('sha256').update(engineId).digest();
  const globalId = digest.readBigUInt64BE(0) & GLOBAL_ID_MASK;
  const value = (0xfd00n << 112n) | (globalId << GLOBAL_ID_SHIFT);
  const base = formatBlock({ family: 'ipv6', base: value, prefixLength: ULA_PREFIX_LENGTH });
  return [...blocks, { base, prefixLength: ULA_POOL_LENGTH }];
}

/**
 * The first pool of `blocks` that overlaps nothing of `taken` (routes, addresses and name servers of the host, pools of
 * other networks). `preferred` is tried first: a network keeps its addresses over restarts while it can.
 */
export function choosePool(
  family: Family,
  blocks: readonly AddressPoolBlock[],
  taken: readonly Block[],
  preferred: Block | null = null,
): Block {
  const inOrder = taken
    .filter((block) => block.family === family)
    .map((block) => ({ base: block.base, last: lastOf(block) }))
    .sort((a, b) => (a.base < b.base ? -1 : Number(a.base > b.base)));
  if (preferred !== null && firstGap(preferred, preferred.prefixLength, inOrder) !== null) return preferred;
  for (const block of blocks) {
    const outer = outerOf(block);
    const gap = outer.family === family ? firstGap(outer, block.prefixLength, inOrder) : null;
    if (gap !== null) return { family, base: gap, prefixLength: block.prefixLength };
  }
  throw noFreePool();
}

/** The block itself; InvalidArgumentError when no pools can be cut from it. */
function outerOf({ base, prefixLength }: AddressPoolBlock): Block {
  const block = parseCidr(base)?.block ?? null;
  // A pool has a network address, a gateway and one container at least.
  const longest = block === null ? 0 : ADDRESS_BITS[block.family] - 2;
  if (block === null || prefixLength < block.prefixLength || prefixLength > longest) {
    throw new InvalidArgumentError(`invalid default address pool: base ${base}, size ${String(prefixLength)}`);
  }
  return block;
}

/** The lowest place in `outer` for a pool that meets nothing of `taken`, which is sorted; one walk, whatever its length. */
function firstGap(
  outer: Block,
  prefixLength: number,
  taken: readonly { readonly base: bigint; readonly last: bigint }[],
): bigint | null {
  const hostBits = BigInt(ADDRESS_BITS[outer.family] - prefixLength);
  const size = 1n << hostBits;
  let candidate = outer.base;
  for (const { base, last } of taken) {
    if (last < candidate) continue;
    if (base >= candidate + size) break;
    candidate = ((last >> hostBits) + 1n) << hostBits;
  }
  return candidate + size - 1n <= lastOf(outer) ? candidate : null;
}
