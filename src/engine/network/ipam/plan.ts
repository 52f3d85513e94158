import { formatAddress, formatBlock, overlaps, parseAddress } from './ip.ts';
import type { Block, Family } from './ip.ts';
import type { AddressLeases } from './leases.ts';
import { auxiliaryUnavailable, gatewayUnavailable, poolOverlaps } from './messages.ts';
import { blockOf } from './pool.ts';
import { isBlank } from './check.ts';
import type { IpamPool, IpamPoolRequest, NetworkRecord } from '../types.ts';

/** What the pools of a new network depend on. */
export interface PlanContext {
  readonly leases: AddressLeases;
  /** All networks that are there. */
  readonly networks: readonly NetworkRecord[];
  /** A pool of this family that nobody uses. InvalidArgumentError when there is none. */
  readonly choose: (family: Family) => Block;
  /** Whether an address is to be reserved as gateway where the user names none. */
  readonly needsGateway: (family: Family) => boolean;
}

/** What of a request decides. */
export interface PlanRequest {
  readonly enableIpv4: boolean;
  readonly enableIpv6: boolean;
  readonly pools: readonly IpamPoolRequest[];
}

/**
 * The pools of a new network, IPv4 first: as given (they have been checked), or chosen. ForbiddenError where they overlap
 * others' or one another, InternalError for gateways and auxiliary addresses that are taken.
 */
export function planPools(request: PlanRequest, context: PlanContext): readonly IpamPool[] {
  const planned: IpamPool[] = [];
  const families: readonly Family[] = [
    ...(request.enableIpv4 ? (['ipv4'] as const) : []),
    ...(request.enableIpv6 ? (['ipv6'] as const) : []),
  ];
  for (const family of families) {
    const asked = request.pools.filter((pool) => familyAsked(pool) === family);
    if (asked.length === 0) planned.push(chosenPool(family, context));
    for (const pool of asked) planned.push(givenPool(pool, planned, context));
  }
  return planned;
}

/** An entry that says nothing stands for an IPv4 pool. */
function familyAsked(pool: IpamPoolRequest): Family {
  return isBlank(pool) ? 'ipv4' : blockOf(pool.subnet).family;
}

function chosenPool(family: Family, context: PlanContext): IpamPool {
  const subnet = formatBlock(context.choose(family));
  const gateway = context.needsGateway(family) ? freeGateway(subnet, null, context) : null;
  return { subnet, gateway, ipRange: null, auxAddresses: {}, subnetChosen: true };
}

function givenPool(pool: IpamPoolRequest, planned: readonly IpamPool[], context: PlanContext): IpamPool {
  if (isBlank(pool)) return chosenPool('ipv4', context);
  const block = blockOf(pool.subnet);
  const subnet = formatBlock(block);
  const ipRange = pool.ipRange === '' ? null : formatBlock(blockOf(pool.ipRange));
  refuseOverlap(block, ipRange, planned, context);
  const chosen = pool.gateway === '' && context.needsGateway(block.family);
  const gateway = chosen ? freeGateway(subnet, ipRange, context) : givenGateway(subnet, pool.gateway, context);
  const auxAddresses = Object.fromEntries(
    Object.entries(pool.auxAddresses).map(([name, text]) => [
      name,
      givenAuxiliary(subnet, name, text, gateway, context),
    ]),
  );
  return { subnet, gateway, ipRange, auxAddresses, ...(pool.gateway === '' ? { gatewayChosen: true } : {}) };
}

/** As dockerd: who names a range shares a subnet knowingly, but not the same range of the same subnet. */
function refuseOverlap(
  block: Block,
  ipRange: string | null,
  planned: readonly IpamPool[],
  { networks }: PlanContext,
): void {
  const others = [...networks.flatMap(({ pools }) => pools), ...planned];
  const clashes = others.some((other) => {
    if (other.subnet.endsWith('/0')) return false;
    if (ipRange === null) return overlaps(blockOf(other.subnet), block);
    return other.subnet === formatBlock(block) && other.ipRange === ipRange;
  });
  if (clashes) throw poolOverlaps();
}

function freeGateway(subnet: string, ipRange: string | null, { leases }: PlanContext): string {
  const gateway = leases.lowestFree(subnet, ipRange);
  if (gateway === null) throw gatewayUnavailable('', 'no available addresses on this pool');
  return gateway;
}

function givenGateway(subnet: string, text: string, { leases }: PlanContext): string | null {
  const address = parseAddress(text);
  if (address === null) return null;
  if (!leases.isFree(subnet, address)) throw gatewayUnavailable(text, 'Address already in use');
  return formatAddress(address);
}

function givenAuxiliary(
  subnet: string,
  name: string,
  text: string,
  gateway: string | null,
  { leases }: PlanContext,
): string {
  const address = parseAddress(text);
  if (address === null) return text;
  const canonical = formatAddress(address);
  if (canonical === gateway || !leases.isFree(subnet, address)) throw auxiliaryUnavailable(name, canonical);
  return canonical;
}
