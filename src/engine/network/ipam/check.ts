import type { IpamPoolRequest, NetworkRequest } from '../types.ts';
import { containsAddress, formatBlock, overlaps, parseAddress, parseCidr } from './ip.ts';
import type { Block } from './ip.ts';
import { familyName, invalidNetworkConfig, tooManyPools } from './messages.ts';

/** Each is held against each, and against those of all networks. */
const MAX_POOLS = 128;

/**
 * Whether the pools of a request make sense in themselves: every fault of every pool at once, as dockerd's ValidateIPAM
 * tells them. InvalidArgumentError.
 */
export function checkPools({ pools, enableIpv6 }: Pick<NetworkRequest, 'pools' | 'enableIpv6'>): void {
  if (pools.length > MAX_POOLS) throw tooManyPools(MAX_POOLS);
  const faults = pools.flatMap((pool) => faultsOf(pool, enableIpv6 === true));
  if (faults.length > 0) throw invalidNetworkConfig(faults);
}

/** True for an entry that says nothing: its subnet is chosen. */
export function isBlank({ subnet, gateway, ipRange, auxAddresses }: IpamPoolRequest): boolean {
  return subnet === '' && gateway === '' && ipRange === '' && Object.keys(auxAddresses).length === 0;
}

function faultsOf(pool: IpamPoolRequest, enableIpv6: boolean): readonly string[] {
  if (isBlank(pool)) return [];
  const parsed = parseCidr(pool.subnet);
  if (parsed === null) return [`invalid subnet ${pool.subnet}: invalid CIDR block notation`];
  const { address, block } = parsed;
  // A block of a family that the network does not have is not used, and not judged.
  if (block.family === 'ipv6' && !enableIpv6) return [];
  const gateway = addressFault(pool.gateway, block);
  return [
    ...(address.value === block.base ? [] : [`invalid subnet ${pool.subnet}: it should be ${formatBlock(block)}`]),
    ...rangeFaults(pool.ipRange, block),
    ...(gateway === null ? [] : [`invalid gateway ${pool.gateway}: ${gateway}`]),
    ...Object.entries(pool.auxAddresses).flatMap(([name, text]) => {
      const fault = addressFault(text, block);
      return fault === null ? [] : [`invalid auxiliary address ${name}: ${fault}`];
    }),
  ];
}

function rangeFaults(ipRange: string, subnet: Block): readonly string[] {
  if (ipRange === '') return [];
  const parsed = parseCidr(ipRange);
  if (parsed === null) return [`invalid ip-range ${ipRange}: invalid CIDR block notation`];
  const { address, block } = parsed;
  if (block.family !== subnet.family) {
    return [`invalid ip-range ${ipRange}: parent subnet is an ${familyName(subnet.family)} block`];
  }
  const parent = formatBlock(subnet);
  return [
    ...(block.prefixLength < subnet.prefixLength
      ? [`invalid ip-range ${ipRange}: CIDR block is bigger than its parent subnet ${parent}`]
      : []),
    ...(address.value === block.base ? [] : [`invalid ip-range ${ipRange}: it should be ${formatBlock(block)}`]),
    ...(overlaps(subnet, block)
      ? []
      : [`invalid ip-range ${ipRange}: parent subnet ${parent} doesn't contain ip-range`]),
  ];
}

function addressFault(text: string, subnet: Block): string | null {
  if (text === '') return null;
  const address = parseAddress(text);
  if (address === null) return 'invalid address';
  if (address.family !== subnet.family) return `parent subnet is an ${familyName(subnet.family)} block`;
  return containsAddress(subnet, address) ? null : `parent subnet ${formatBlock(subnet)} doesn't contain this address`;
}
