import type { NetworkDriver, WayOut } from '../driver.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

type Family = 'ipv4' | 'ipv6';
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** How containers get out of a network, for one family. */
export function wayOutOf(
  driver: NetworkDriver,
  network: Pick<NetworkRecord, 'id' | 'internal' | 'options'>,
  family: Family,
): WayOut {
  return driver.wayOut?.(network, family) ?? (network.internal ? 'local' : 'gateway');
}

/** Of which families an endpoint leads out of the container. */
export function leadsOut(endpoint: EndpointState): readonly Family[] {
  if (endpoint.leadsOut !== undefined) return endpoint.leadsOut;
  return FAMILIES.filter((family) => (family === 'ipv4' ? endpoint.ipv4Gateway : endpoint.ipv6Gateway) !== null);
}

/**
 * The endpoints that have the default routes, by Docker's rules: by priority, then the one that leads out in more families,
 * then by name; the first that leads out in both families has both.
 */
export function chooseGateways(endpoints: readonly EndpointState[]): Readonly<Record<Family, EndpointState | null>> {
  const candidates = [...endpoints]
    .filter((endpoint) => leadsOut(endpoint).length > 0)
    .sort(
      (a, b) =>
        (b.gatewayPriority ?? 0) - (a.gatewayPriority ?? 0) ||
        leadsOut(b).length - leadsOut(a).length ||
        (a.networkName < b.networkName ? -1 : 1),
    );
  const both = candidates.find((endpoint) => leadsOut(endpoint).length === 2);
  if (both !== undefined) return { ipv4: both, ipv6: both };
  const first = (family: Family): EndpointState | null =>
    candidates.find((endpoint) => leadsOut(endpoint).includes(family)) ?? null;
  return { ipv4: first('ipv4'), ipv6: first('ipv6') };
}

/** The endpoints, each with the families of which it has the default route now. */
export function withGateways(endpoints: readonly EndpointState[]): readonly EndpointState[] {
  const chosen = chooseGateways(endpoints);
  return endpoints.map((endpoint) => ({
    ...endpoint,
    gatewayOf: FAMILIES.filter((family) => chosen[family]?.endpointId === endpoint.endpointId),
  }));
}
