/** Networks on the wire. Options, labels and pools are echoed exactly: Compose compares them with what it asked. */
import { formatTimestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import type { Engine, EndpointState, NetworkView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';

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
    ...(version.atLeast('1.47') ? { EnableIPv4: true } : {}),
    EnableIPv6: network.enableIpv6,
    IPAM: {
      Driver: network.ipamDriver,
      Options: network.ipamOptions,
      Config: network.pools.map((pool) => ({
        Subnet: pool.subnet,
        ...(pool.ipRange === null ? {} : { IPRange: pool.ipRange }),
        ...(pool.gateway === null ? {} : { Gateway: pool.gateway }),
        ...(Object.keys(pool.auxAddresses).length === 0 ? {} : { AuxiliaryAddresses: pool.auxAddresses }),
      })),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers:
      containers === null
        ? {}
        : Object.fromEntries(
            network.endpoints.map((endpoint) => [endpoint.containerId, endpointRow(endpoint, containers)]),
          ),
    Options: network.options,
    Labels: network.labels,
  };
}

function endpointRow(endpoint: EndpointState, containers: Engine['containers']): JsonValue {
  return {
    Name: nameOf(endpoint, containers),
    EndpointID: endpoint.endpointId,
    MacAddress: endpoint.macAddress,
    IPv4Address: cidr(endpoint.ipv4Address, endpoint.ipv4PrefixLength),
    IPv6Address: cidr(endpoint.ipv6Address, endpoint.ipv6PrefixLength),
  };
}

/** The container may be going away at this moment. */
function nameOf({ containerId }: EndpointState, containers: Engine['containers']): string {
  return containers.list().find(({ id }) => id === containerId)?.name ?? '';
}

function cidr(address: string | null, prefixLength: number): string {
  return address === null ? '' : `${address}/${String(prefixLength)}`;
}
