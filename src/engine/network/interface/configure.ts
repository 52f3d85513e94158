/** A container's end of an endpoint: addresses, parameters and routes of an interface that a driver has just made. */
import { KernelError } from '../../kernel/kernel.ts';
import type { Kernel, RouteRequests } from '../../kernel/kernel.ts';
import type { EndpointRequest, Sandbox } from '../driver.ts';
import type { Sysctls } from '../sysctl.ts';
import { needsAnnouncing, sayWhenSet } from './announce.ts';
import type { Announcer } from './announce.ts';
import { familyOf, gatewayFor, poolOfAddress, withPrefix } from './pools.ts';
import type { Family } from './pools.ts';
import { interfaceSysctls, writeInterfaceSysctls } from './sysctls.ts';

/** Prefix lengths of link-local addresses (RFC 3927, RFC 4291). */
const LINK_LOCAL_PREFIX = { ipv4: 16, ipv6: 64 } as const;
const DEFAULT_DESTINATION = { ipv4: '0.0.0.0/0', ipv6: '::/0' } as const;

/** What is needed to do it. */
export interface InterfaceTools {
  readonly sysctls: Sysctls;
  readonly within: Kernel['namespaces']['within'];
  readonly announcer: Announcer;
}

/** How a default route leads out: through the gateway of the endpoint's pool, or straight out of the link (ipvlan l3). */
export type DefaultRouteBy = 'gateway' | 'link';

/**
 * Gives the interface its addresses and routes and takes it up. IPv6 is off on an interface without an IPv6 address, as in
 * Docker: it would have a link-local address that leads nowhere.
 */
export function configureInterface(
  request: EndpointRequest,
  sandbox: Sandbox,
  tools: InterfaceTools,
  by: DefaultRouteBy = 'gateway',
): void {
  const { interfaceName } = request;
  const index = sandbox.inside.linkIndex(interfaceName);
  if (index === null) throw new KernelError('linkIndex', 'ENODEV', interfaceName);
  writeParameters(request, sandbox, tools);
  sandbox.inside.batch((requests) => {
    for (const cidr of addressesOf(request)) requests.addAddress(index, cidr);
    requests.changeLink(index, { up: true });
    if (request.defaultRoute) routeOut(requests, request, index, 'ipv4', by);
    if (request.defaultRouteIpv6 ?? request.defaultRoute) routeOut(requests, request, index, 'ipv6', by);
  });
  if (needsAnnouncing(request)) tools.announcer.announce(sandbox, request);
}

function writeParameters(request: EndpointRequest, sandbox: Sandbox, { sysctls, within }: InterfaceTools): void {
  const { interfaceName, driverOptions } = request;
  const wanted = interfaceSysctls(driverOptions);
  const hasIpv6 = addressesOf(request).some((cidr) => familyOf(cidr) === 'ipv6');
  within(sandbox.netns, () => {
    setIpv6(sysctls, interfaceName, hasIpv6);
    if (needsAnnouncing(request)) sayWhenSet(sysctls, interfaceName, hasIpv6);
    writeInterfaceSysctls(sysctls, interfaceName, wanted);
  });
}

function setIpv6(sysctls: Sysctls, interfaceName: string, on: boolean): void {
  try {
    sysctls.write(`net/ipv6/conf/${interfaceName}/disable_ipv6`, on ? '0' : '1');
  } catch (error) {
    // A kernel without IPv6 has nothing to switch off.
    if (on || !(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
  }
}

function addressesOf({ network, ipv4Address, ipv6Address, linkLocalIps }: EndpointRequest): readonly string[] {
  const leased = [ipv4Address, ipv6Address]
    .filter((address) => address !== null)
    .map((address) => {
      const pool = poolOfAddress(network, address);
      return pool === null ? address : withPrefix(pool, address);
    });
  const linkLocal = (linkLocalIps ?? []).map((address) => `${address}/${String(LINK_LOCAL_PREFIX[familyOf(address)])}`);
  return [...leased, ...linkLocal];
}

function routeOut(
  requests: RouteRequests,
  { network, ipv4Address, ipv6Address }: EndpointRequest,
  linkIndex: number,
  family: Family,
  by: DefaultRouteBy,
): void {
  const address = family === 'ipv4' ? ipv4Address : ipv6Address;
  const pool = address === null ? null : poolOfAddress(network, address);
  if (pool === null) return;
  const gateway = by === 'link' ? null : gatewayFor(pool);
  if (by === 'gateway' && gateway === null) return;
  requests.addRoute({ destination: DEFAULT_DESTINATION[family], gateway, linkIndex });
}
