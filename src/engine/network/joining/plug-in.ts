import type { Sandbox } from '../driver.ts';
import { driverOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

/** Lets the driver make an endpoint's link, with the default routes that it is to have. */
export async function plugIn(
  room: NetworkRoom,
  network: NetworkRecord,
  endpoint: EndpointState,
  sandbox: Sandbox,
): Promise<void> {
  const gatewayOf = endpoint.gatewayOf ?? [];
  const defaultRoute = gatewayOf.includes('ipv4');
  const defaultRouteIpv6 = gatewayOf.includes('ipv6');
  await driverOf(room, network).connect({ ...endpoint, network, defaultRoute, defaultRouteIpv6 }, sandbox);
}
