import { newId } from '../../../base/ids.ts';
import type { ContainerId, EndpointId } from '../../../base/ids.ts';
import type { Undo } from '../../../base/undo.ts';
import { gatewayFor } from '../interface/pools.ts';
import type { Family } from '../ipam/ip.ts';
import type { Lease } from '../ipam/leases.ts';
import { blockOf } from '../ipam/pool.ts';
import { macAddressOf, parseMac, randomMacAddress } from '../naming.ts';
import { driverOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState } from '../types.ts';
import { wayOutOf } from './gateway.ts';
import { dnsNamesOf, linksOf } from './names.ts';
import type { NamedContainer } from './names.ts';
import type { Place } from './places.ts';

/** Who comes, and by which interface. */
export interface Newcomer extends NamedContainer {
  readonly interfaceName: string;
  /** For the interface where the wish names none. */
  readonly macAddress: string | null;
}

/** An endpoint without link or address, as on `host` and `none`. */
const NOTHING = {
  interfaceName: '',
  ipv4Address: null,
  ipv4PrefixLength: 0,
  ipv4Gateway: null,
  ipv6Address: null,
  ipv6PrefixLength: 0,
  ipv6Gateway: null,
  macAddress: '',
  publishedPorts: [],
} as const;

/** An endpoint as it is to be, with its addresses leased; nothing of it is in the kernel yet. */
export function planEndpoint(room: NetworkRoom, place: Place, newcomer: Newcomer, undo: Undo): EndpointState {
  const { network, wish } = place;
  const { containerId, containerName, interfaceName } = newcomer;
  const endpointId = newId<EndpointId>();
  const aliases = wish?.aliases ?? [];
  const base = {
    ...NOTHING,
    endpointId,
    networkId: network.id,
    networkName: network.name,
    containerId,
    ...(containerName === undefined ? {} : { containerName }),
    dnsNames: dnsNamesOf(network, newcomer, aliases),
    ...(aliases.length === 0 ? {} : { aliases }),
  };
  const ipv4 = leaseOf(room, place, containerId, 'ipv4', undo);
  const ipv6 = leaseOf(room, place, containerId, 'ipv6', undo);
  if (network.pools.length === 0) return base;
  const mac = wish?.macAddress ?? newcomer.macAddress;
  const address = ipv4?.address ?? ipv6?.address ?? null;
  const priority = wish?.gatewayPriority ?? 0;
  const links = wish?.links ?? [];
  return {
    ...base,
    interfaceName,
    ipv4Address: ipv4?.address ?? null,
    ipv4PrefixLength: ipv4 === null ? 0 : blockOf(ipv4.pool.subnet).prefixLength,
    ipv4Gateway: ipv4?.gateway ?? null,
    ipv6Address: ipv6?.address ?? null,
    ipv6PrefixLength: ipv6 === null ? 0 : blockOf(ipv6.pool.subnet).prefixLength,
    ipv6Gateway: ipv6?.gateway ?? null,
    macAddress:
      (mac === null ? null : parseMac(mac)) ?? (address === null ? randomMacAddress() : macAddressOf(address)),
    leadsOut: [
      ...(ipv4?.leadsOut === true ? (['ipv4'] as const) : []),
      ...(ipv6?.leadsOut === true ? (['ipv6'] as const) : []),
    ],
    ...(wish?.driverOptions === undefined ? {} : { driverOptions: wish.driverOptions }),
    ...((wish?.linkLocalIps?.length ?? 0) === 0 ? {} : { linkLocalIps: wish?.linkLocalIps ?? [] }),
    ...(priority === 0 ? {} : { gatewayPriority: priority }),
    ...(links.length === 0 ? {} : { links: linksOf(links) }),
  };
}

/** An address with what its network says of the way out; null when the network gives none of this family. */
function leaseOf(
  room: NetworkRoom,
  { network, wish }: Place,
  containerId: ContainerId,
  family: Family,
  undo: Undo,
): (Lease & { readonly gateway: string | null; readonly leadsOut: boolean }) | null {
  const wished = (family === 'ipv4' ? wish?.ipv4Address : wish?.ipv6Address) ?? null;
  const lease = room.leases.lease(network, containerId, family, wished);
  if (lease === null) return null;
  undo.defer(() => room.leases.release(network.id, lease.address));
  const wayOut = wayOutOf(driverOf(room, network), network, family);
  const gateway = wayOut === 'gateway' ? gatewayFor(lease.pool) : null;
  return { ...lease, gateway, leadsOut: gateway !== null || wayOut === 'link' };
}
