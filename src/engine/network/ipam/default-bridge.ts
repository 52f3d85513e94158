import { InvalidArgumentError } from '../../../base/errors.ts';
import { DEFAULT_GATEWAY_KEY } from '../interface/pools.ts';
import type { IpamPool } from '../types.ts';
import { containsAddress, containsBlock, formatAddress, formatBlock, parseAddress, parseCidr } from './ip.ts';
import type { Address, Block, Family } from './ip.ts';

/** What the daemon's flags say of one family of the default bridge. */
export interface BridgePoolWish {
  /** `172.17.0.1/16`: the bridge's own address; null: chosen. */
  readonly bip: string | null;
  /** CIDR that containers' addresses are taken from; null: the whole subnet. */
  readonly fixedCidr: string | null;
  /** Gateway for containers in place of the bridge. */
  readonly defaultGateway: string | null;
}

/** The pool of the default bridge, from the daemon's flags and what the bridge already has. */
export function defaultBridgePool(
  family: Family,
  wish: BridgePoolWish,
  existingAddress: string | null,
  choose: () => Block,
): IpamPool {
  const range = wish.fixedCidr === null ? null : cidrOf(wish.fixedCidr, family).block;
  const { address, block } = ownAddress(family, wish.bip ?? existingAddress, range, choose);
  if (range !== null && !containsBlock(block, range)) {
    throw new InvalidArgumentError('container subnet must be a subset of bridge network');
  }
  if (wish.defaultGateway !== null) {
    const gateway = parseAddress(wish.defaultGateway);
    if (gateway === null || !containsAddress(block, gateway)) {
      throw new InvalidArgumentError('default gateway ip must be part of the network');
    }
  }
  return {
    subnet: formatBlock(block),
    gateway: formatAddress(address),
    ipRange: range === null ? null : formatBlock(range),
    auxAddresses: wish.defaultGateway === null ? {} : { [DEFAULT_GATEWAY_KEY[family]]: wish.defaultGateway },
  };
}

function ownAddress(
  family: Family,
  cidr: string | null,
  range: Block | null,
  choose: () => Block,
): { readonly address: Address; readonly block: Block } {
  if (cidr !== null) return cidrOf(cidr, family);
  const block = range ?? choose();
  return { address: { family, value: block.base + 1n }, block };
}

function cidrOf(text: string, family: Family): { readonly address: Address; readonly block: Block } {
  const cidr = parseCidr(text);
  if (cidr?.block.family !== family) throw new InvalidArgumentError(`invalid CIDR address: ${text}`);
  return cidr;
}
