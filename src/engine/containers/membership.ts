/** Which networks a container is on, or will be when it starts: a part of what was asked for. Pure. */
import type { EndpointWish } from '../network/types.ts';
import type { HostOptions } from './spec-types.ts';

/** Of a network for which nothing was asked but to be on it. */
const NO_WISH: EndpointWish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };

type Networking = Pick<HostOptions, 'network' | 'endpoints' | 'leftOwnNetwork'>;

/** Name → wish, the network of its mode first. Empty where another container's is shared. */
export function membershipsOf(host: Networking): ReadonlyMap<string, EndpointWish> {
  const own = ownNetworkOf(host);
  const memberships = new Map<string, EndpointWish>(own === null ? [] : [[own, host.endpoints[own] ?? NO_WISH]]);
  if (host.network.kind !== 'container') {
    for (const [name, wish] of Object.entries(host.endpoints)) memberships.set(name, wish);
  }
  return memberships;
}

/** With one network more, or the same one by another wish. */
export function withMembership(host: HostOptions, name: string, wish: EndpointWish): HostOptions {
  const { leftOwnNetwork, ...rest } = host;
  const isOwn = modeNetworkOf(host) === name;
  return {
    ...rest,
    endpoints: { ...host.endpoints, [name]: wish },
    ...(leftOwnNetwork === true && !isOwn ? { leftOwnNetwork } : {}),
  };
}

/** Without it. */
export function withoutMembership(host: HostOptions, name: string): HostOptions {
  const endpoints = Object.fromEntries(Object.entries(host.endpoints).filter(([key]) => key !== name));
  return { ...host, endpoints, ...(modeNetworkOf(host) === name ? { leftOwnNetwork: true } : {}) };
}

/** The same by the networks' names, whatever they were called by (ids). */
export function byName(host: HostOptions, nameOf: (ref: string) => string): HostOptions {
  const { network } = host;
  return {
    ...host,
    network: network.kind === 'network' ? { ...network, name: nameOf(network.name) } : network,
    endpoints: Object.fromEntries(Object.entries(host.endpoints).map(([ref, wish]) => [nameOf(ref), wish])),
  };
}

function ownNetworkOf(host: Networking): string | null {
  return host.leftOwnNetwork === true ? null : modeNetworkOf(host);
}

function modeNetworkOf({ network }: Networking): string | null {
  switch (network.kind) {
    case 'network':
      return network.name;
    case 'host':
    case 'none':
      return network.kind;
    case 'container':
      return null;
  }
}
