import type { Undo } from '../../../base/undo.ts';
import type { Route } from '../../kernel/kernel.ts';
import type { Sandbox } from '../driver.ts';
import type { EndpointState } from '../types.ts';

const FAMILIES = [
  { family: 'ipv4', destination: '0.0.0.0/0' },
  { family: 'ipv6', destination: '::/0' },
] as const;

/** Leads the default routes of a running container through the endpoints that are to have them now. */
export function moveDefaultRoutes(
  sandbox: Sandbox,
  before: readonly EndpointState[],
  after: readonly EndpointState[],
  undo: Undo,
): void {
  for (const { family, destination } of FAMILIES) {
    const old = before.find(({ gatewayOf }) => gatewayOf?.includes(family)) ?? null;
    const next = after.find(({ gatewayOf }) => gatewayOf?.includes(family)) ?? null;
    if (old?.endpointId === next?.endpointId) continue;
    const oldRoute = old === null ? null : routeOf(sandbox, old, family, destination);
    const nextRoute = next === null ? null : routeOf(sandbox, next, family, destination);
    putRoute(sandbox, oldRoute, nextRoute);
    undo.defer(() => putRoute(sandbox, nextRoute, oldRoute));
  }
}

/** Puts the default routes of a running container where they are to be, whatever has become of them. */
export function ensureDefaultRoutes(sandbox: Sandbox, endpoints: readonly EndpointState[]): void {
  for (const { family, destination } of FAMILIES) {
    const through = endpoints.find(({ gatewayOf }) => gatewayOf?.includes(family));
    const route = through === undefined ? null : routeOf(sandbox, through, family, destination);
    const present = sandbox.inside.routes(family).find((each) => each.destination === destination);
    if (route === null || (present?.gateway === route.gateway && present.linkIndex === route.linkIndex)) continue;
    putRoute(sandbox, present ?? null, route);
  }
}

/** With no next route there is nothing to do: the old one goes with its link. */
function putRoute(sandbox: Sandbox, old: Route | null, next: Route | null): void {
  if (next === null) return;
  if (old === null) sandbox.inside.addRoute(next);
  else sandbox.inside.replaceRoute(next);
}

/** Null when the link is not there any more: then the route has gone with it. */
function routeOf(
  sandbox: Sandbox,
  endpoint: EndpointState,
  family: 'ipv4' | 'ipv6',
  destination: string,
): Route | null {
  const linkIndex = sandbox.inside.linkIndex(endpoint.interfaceName);
  if (linkIndex === null) return null;
  const gateway = family === 'ipv4' ? endpoint.ipv4Gateway : endpoint.ipv6Gateway;
  return { destination, gateway, linkIndex };
}
