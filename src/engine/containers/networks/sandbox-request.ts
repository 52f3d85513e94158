import type { ResolverWish, SandboxRequest } from '../../network/types.ts';
import type { ContainersOptions } from '../options.ts';
import type { ContainerSpec, HostOptions } from '../spec-types.ts';
import { membershipsOf } from '../membership.ts';

type Defaults = Pick<ContainersOptions, 'dns' | 'dnsSearch' | 'dnsOptions'>;

/** The network room's request, as far as it does not depend on a live container. */
export function sandboxRequestOf(spec: ContainerSpec, defaults: Defaults): Omit<SandboxRequest, 'containerId'> {
  const { host } = spec;
  const bound = new Set(host.portBindings.map(({ container }) => `${String(container.port)}/${container.protocol}`));
  const isFree = (port: { port: number; protocol: string }): boolean =>
    !bound.has(`${String(port.port)}/${port.protocol}`);
  return {
    mode: spec.networkDisabled ? { kind: 'none' } : host.network,
    endpoints: Object.fromEntries(membershipsOf(host)),
    ...(host.leftOwnNetwork === true ? { exactly: true } : {}),
    portBindings: host.portBindings,
    publishAll: host.publishAllPorts ? spec.exposedPorts.filter(isFree) : [],
    macAddress: spec.macAddress,
    hostname: spec.hostname,
    resolver: resolverWishOf(host, defaults),
    labels: spec.labels,
    // The runtime sets them inside, with every other sysctl.
    sysctls: {},
  };
}

/** What it wants of name resolution, else what the daemon is told to give. */
export function resolverWishOf(host: HostOptions, defaults: Defaults): ResolverWish {
  return {
    servers: host.dns.length > 0 ? host.dns : defaults.dns,
    search: host.dnsSearch.length > 0 ? host.dnsSearch : defaults.dnsSearch,
    options: host.dnsOptions.length > 0 ? host.dnsOptions : defaults.dnsOptions,
  };
}
