import type { Undo } from '../../../base/undo.ts';
import { bridgeSettings } from '../bridge/settings.ts';
import { programmingFailed } from '../messages.ts';
import { allBindings } from '../ports.ts';
import type { PublishTarget } from '../ports.ts';
import { publishPolicyOf } from '../publish-policy.ts';
import { bridgeNameOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState, NetworkRecord, PortBinding, PublishWish } from '../types.ts';

/**
 * Takes ports back from endpoints that no longer lead out, and publishes what the container wants on those that now do.
 * `before` are the endpoints as they were; those of `after` come back with the ports they have now.
 */
export async function movePorts(
  room: NetworkRoom,
  before: readonly EndpointState[],
  after: readonly EndpointState[],
  wish: PublishWish,
  undo: Undo,
): Promise<readonly EndpointState[]> {
  const changed = after.filter((endpoint) => roleOf(endpoint, after) !== roleOf(find(before, endpoint), before));
  const bare = new Map(changed.map((endpoint) => [endpoint.endpointId, { ...endpoint, publishedPorts: [] }]));
  for (const endpoint of changed) {
    const old = find(before, endpoint);
    if (old === undefined || old.publishedPorts.length === 0) continue;
    await room.publisher.unpublish(bridgeNameOf(room, old), old.publishedPorts);
    undo.defer(() => restorePorts(room, old));
  }
  const moved: EndpointState[] = [];
  for (const endpoint of after) {
    const emptied = bare.get(endpoint.endpointId);
    moved.push(emptied === undefined ? endpoint : await publishOn(room, emptied, { wish, among: after }, undo));
  }
  return moved;
}

/** Publishes the very same ports again. */
export async function restorePorts(room: NetworkRoom, endpoint: EndpointState): Promise<void> {
  const bindings = endpoint.publishedPorts.map(({ container, hostIp, hostPort }): PortBinding => ({
    container,
    hostIp,
    hostPortStart: hostPort,
    hostPortEnd: hostPort,
  }));
  await publish(room, endpoint, bindings);
}

/** Publishes what the container wants on the endpoint that leads out; other endpoints and other kinds of network have none. */
async function publishOn(
  room: NetworkRoom,
  endpoint: EndpointState,
  { wish, among }: { readonly wish: PublishWish; readonly among: readonly EndpointState[] },
  undo: Undo,
): Promise<EndpointState> {
  const bindings = allBindings(wish.portBindings, wish.publishAll);
  if (roleOf(endpoint, among) === '' || bindings.length === 0) return endpoint;
  try {
    const publishedPorts = await publish(room, endpoint, bindings, leadsIpv6Elsewhere(endpoint, among));
    undo.defer(() => room.publisher.unpublish(bridgeNameOf(room, endpoint), publishedPorts));
    return { ...endpoint, publishedPorts };
  } catch (error) {
    const name = endpoint.containerName ?? endpoint.containerId;
    throw programmingFailed(name, endpoint.endpointId, error instanceof Error ? error : new Error(String(error)));
  }
}

async function publish(
  room: NetworkRoom,
  endpoint: EndpointState,
  bindings: readonly PortBinding[],
  ipv6Elsewhere = false,
): Promise<EndpointState['publishedPorts']> {
  const network = room.registry.byId(endpoint.networkId);
  if (network?.driver !== 'bridge' || bindings.length === 0) return [];
  const target = { ...targetOf(network, endpoint), ipv6ToIpv4: !ipv6Elsewhere, proxied: isLedByProxy(room, network) };
  return await room.publisher.publish(target, bindings);
}

/** Packets for the proxy's sockets meet the host's input policy; a filter may have its own way to ask it. */
function isLedByProxy({ firewall, publishPolicy }: NetworkRoom, network: NetworkRecord): boolean {
  return (publishPolicyOf(network) ?? publishPolicy) === 'respect' && firewall.respectsInput !== true;
}

/** Each family is led in by the endpoint that leads it out. */
function targetOf(network: NetworkRecord, { gatewayOf = [], ipv4Address, ipv6Address }: EndpointState): PublishTarget {
  const { bridgeName, hostBinding, ipv4Mode, ipv6Mode } = bridgeSettings(network);
  return {
    bridgeName,
    ipv4Address: gatewayOf.includes('ipv4') ? ipv4Address : null,
    ipv6Address: gatewayOf.includes('ipv6') ? ipv6Address : null,
    hostBinding,
    ipv4Mode,
    ipv6Mode,
  };
}

function find(endpoints: readonly EndpointState[], { endpointId }: EndpointState): EndpointState | undefined {
  return endpoints.find((endpoint) => endpoint.endpointId === endpointId);
}

/**
 * The families of which it has the default route: ports are led in by the way the answers take out. One of IPv4 alone takes
 * what comes by IPv6 as well, while no other does.
 */
function roleOf(endpoint: EndpointState | undefined, among: readonly EndpointState[]): string {
  const families = endpoint?.gatewayOf?.join() ?? '';
  if (endpoint === undefined || families === '') return '';
  return leadsIpv6Elsewhere(endpoint, among) ? `${families} alone` : families;
}

function leadsIpv6Elsewhere({ endpointId }: EndpointState, among: readonly EndpointState[]): boolean {
  return among.some((other) => other.endpointId !== endpointId && (other.gatewayOf?.includes('ipv6') ?? false));
}
