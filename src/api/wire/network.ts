/** Networks on the wire. Options, labels and pools are echoed exactly: Compose compares them with what it asked. */
import { formatTimestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import type { Engine, IpamPool, IpamPoolRequest, NetworkView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { nameLookup } from './lookups.ts';

/** A network; `Containers` is filled for inspect, `{}` in lists. */
export function networkDocument(
  network: NetworkView,
  options: { readonly version: ApiVersion; readonly containers: Engine['containers'] | null },
): JsonValue {
  const { version, containers } = options;
  return {
    Name: network.name,
    Id: network.id,
    Created: formatTimestamp(network.createdAt),
    Scope: 'local',
    Driver: network.driver,
    ...(version.atLeast('1.47') ? { EnableIPv4: network.enableIpv4 ?? true } : {}),
    EnableIPv6: network.enableIpv6,
    IPAM: {
      Driver: network.ipamDriver,
      Options: network.ipamOptions,
      Config: configOf(network),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: network.configFrom ?? '' },
    ConfigOnly: network.configuration !== undefined,
    Containers: containers === null ? {} : membersOf(network, containers),
    Options: network.options,
    Labels: network.labels,
  };
}

/** As asked, IPv4 first; of what was not asked the subnet and the gateway that were chosen; null where there is nothing. */
function configOf(network: NetworkView): JsonValue {
  const isIpv6 = ({ subnet }: IpamPool): boolean => subnet.includes(':');
  const { configuration, unusedPools = [] } = network;
  const shown = configuration?.filter(({ subnet }) => subnet !== '').map(poolOf) ?? network.pools;
  const pools = [...shown, ...unusedPools.map(poolOf)];
  const sorted = [...pools.filter((pool) => !isIpv6(pool)), ...pools.filter(isIpv6)];
  if (sorted.length === 0) return null;
  return sorted.map(({ subnet, ipRange, gateway, gatewayChosen, auxAddresses }) => ({
    Subnet: subnet,
    ...(ipRange === null ? {} : { IPRange: ipRange }),
    ...(gateway === null || gatewayChosen === true ? {} : { Gateway: gateway }),
    ...(Object.keys(auxAddresses).length === 0 ? {} : { AuxiliaryAddresses: auxAddresses }),
  }));
}

function poolOf({ gateway, ipRange, ...pool }: IpamPoolRequest): IpamPool {
  return { ...pool, gateway: gateway === '' ? null : gateway, ipRange: ipRange === '' ? null : ipRange };
}

/** By container. One that is going away at this moment has no name any more. */
function membersOf({ endpoints }: NetworkView, containers: Engine['containers']): JsonValue {
  const nameOf = nameLookup({ containers });
  const sorted = [...endpoints].sort((a, b) => (a.containerId < b.containerId ? -1 : 1));
  return Object.fromEntries(
    sorted.map(({ containerId, endpointId, macAddress, ...addresses }) => [
      containerId,
      {
        Name: nameOf(containerId) ?? '',
        EndpointID: endpointId,
        MacAddress: macAddress,
        IPv4Address: cidr(addresses.ipv4Address, addresses.ipv4PrefixLength),
        IPv6Address: cidr(addresses.ipv6Address, addresses.ipv6PrefixLength),
      },
    ]),
  );
}

function cidr(address: string | null, prefixLength: number): string {
  return address === null ? '' : `${address}/${String(prefixLength)}`;
}
