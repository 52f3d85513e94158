/**
 * Legacy links (`--link`) on a network that keeps its containers apart (`icc=false`): the holder may reach the ports that
 * its target exposes, and nobody else may.
 */
import type { NetworkId } from '../../../base/ids.ts';
import { bridgeSettings } from '../bridge/settings.ts';
import type { FirewallLink } from '../driver.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

/** What is open between the containers that are on a network now; a target that is away has no address to be open. */
export function linksOn({ live }: Pick<NetworkRoom, 'live'>, { id }: NetworkRecord): readonly FirewallLink[] {
  const endpoints = live.on(id);
  const addresses = new Map(endpoints.map(({ containerId, ipv4Address }) => [containerId, ipv4Address]));
  return endpoints.flatMap(({ ipv4Address: from, opened = [] }) =>
    opened.flatMap(({ containerId, ports }) => {
      const to = addresses.get(containerId) ?? null;
      return from === null || to === null ? [] : ports.map((port) => ({ from, to, ...port }));
    }),
  );
}

/** Lets the packet filter follow who came to the networks of these endpoints, and who went. */
export async function refreshLinks(room: NetworkRoom, endpoints: readonly EndpointState[]): Promise<void> {
  for (const networkId of new Set(endpoints.map((endpoint) => endpoint.networkId))) await refresh(room, networkId);
}

async function refresh(room: NetworkRoom, networkId: NetworkId): Promise<void> {
  const network = room.registry.byId(networkId);
  if (network?.driver !== 'bridge') return;
  const { interContainer, bridgeName } = bridgeSettings(network);
  if (!interContainer) await room.firewall.link?.(bridgeName, linksOn(room, network));
}
