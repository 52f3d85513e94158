import { mkdirSync, readFileSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import { firewallNetworkOf } from '../bridge/driver.ts';
import { bridgeSettings } from '../bridge/settings.ts';
import type { Block } from '../ipam/ip.ts';
import { blockOf } from '../ipam/pool.ts';
import { withGateways } from '../joining/gateway.ts';
import { linksOn } from '../joining/links.ts';
import { leasesOf, mendSandboxes } from '../joining/mend.ts';
import { startNames, ViewMaker } from '../joining/name-views.ts';
import { sweepSandboxes } from '../joining/tear-down.ts';
import { DEFAULT_NETWORK_NAME, defaultBridge, plainNetwork } from '../predefined.ts';
import { driverOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { openSandbox } from '../sandbox.ts';
import type { EndpointState, NetworkRecord, Networks, SandboxState } from '../types.ts';
import { isMissing, replugAll } from './watch.ts';

/** See {@link Networks.restore}. */
export async function restoreNetworks(room: NetworkRoom, live: Parameters<Networks['restore']>[0]): Promise<void> {
  const { registry, leases, publisher, firewall, logger, netnsDirectory } = room;
  mkdirSync(netnsDirectory, { recursive: true });
  registry.load();
  room.live.clear();
  for (const { containerId, sandbox } of live) room.live.set(containerId, asOfNow(sandbox));
  const endpoints = room.live.endpoints();
  await predefine(room, endpoints);
  allowForwarding(room);
  const bridges = registry.list().filter(({ driver }) => driver === 'bridge');
  const ports = endpoints.flatMap(({ publishedPorts }) => publishedPorts);
  await Undo.guard(async (undo) => {
    // A start that fails leaves no rules, unless containers that still run need them.
    if (live.length === 0) undo.defer(() => firewall.tearDown());
    await firewall.initialise({
      networks: bridges.map((bridge) => ({ ...firewallNetworkOf(bridge), links: linksOn(room, bridge) })),
      ports,
      closeForwarding: room.forwarding.toClose(),
    });
    await makeNetworks(room);
  });
  await mendSandboxes(room, leases.stored());
  leases.restore(endpoints.flatMap(leasesOf));
  await publisher.adopt(ports, logger);
  sweepSandboxes(room);
  await resumeNames(room);
}

/**
 * Makes what of each network stands in the kernel, when the packet filter has been told of all of them; a bridge that was
 * lost gets its containers back.
 */
export async function makeNetworks(room: NetworkRoom): Promise<void> {
  for (const network of room.registry.list()) {
    using inside = room.occupancy.enter(network.id);
    // One that is being made is made anyway, and one that is being removed must not be made again.
    if (inside === null) continue;
    const wasMissing = network.driver === 'bridge' && isMissing(room, network);
    await driverOf(room, network).createNetwork(network, { isFiltered: true });
    if (wasMissing) await replugAll(room, network.id);
  }
}

/** The name services of running containers ended with the last run of the engine. */
async function resumeNames(room: NetworkRoom): Promise<void> {
  if (room.names === null) return;
  const views = new ViewMaker(room);
  for (const [containerId, { netnsPath, resolver }] of room.live.entries()) {
    if (netnsPath === null || resolver === undefined) continue;
    try {
      using sandbox = openSandbox(room.kernel, netnsPath);
      await startNames(room, containerId, sandbox, views);
    } catch (error) {
      room.logger.warn('the name service of a container cannot go on', { containerId, reason: messageOf(error) });
    }
  }
}

/** Older versions did not write down where the default routes go: there was one network, and it had them. */
function asOfNow(sandbox: SandboxState): SandboxState {
  if (sandbox.endpoints.every(({ gatewayOf }) => gatewayOf !== undefined)) return sandbox;
  return { ...sandbox, endpoints: withGateways(sandbox.endpoints) };
}

/** Switches forwarding on where networks need it, or says what is missing without it. */
export function allowForwarding({ forwarding, registry }: Pick<NetworkRoom, 'forwarding' | 'registry'>): void {
  forwarding.allow('ipv4');
  if (registry.list().some(({ enableIpv6 }) => enableIpv6)) forwarding.allow('ipv6');
}

/** Brings `host`, `none` and the default bridge into the registry as the daemon's flags want them. */
async function predefine(room: NetworkRoom, endpoints: readonly EndpointState[]): Promise<void> {
  const { registry, clock, route, resolvConfPath, logger } = room;
  for (const name of ['host', 'none'] as const) registry.save(plainNetwork(name, registry.byName(name), clock));
  const wish = room.defaultBridge;
  const stored = registry.byName(DEFAULT_NETWORK_NAME);
  if (stored !== null && endpoints.some(({ networkId }) => networkId === stored.id)) {
    logger.info(
      'containers are running on the default bridge: it keeps its settings until an engine start without them',
    );
    return;
  }
  if (stored !== null && bridgeSettings(stored).bridgeName !== wish?.bridgeName) {
    await driverOf(room, stored).removeNetwork(stored);
    registry.remove(stored.id);
  }
  if (wish === null) return;
  const kept = registry.byName(DEFAULT_NETWORK_NAME);
  const owned = kept !== null && registry.owns(kept);
  const host = { route: route.get(), resolvConf: readOrEmpty(resolvConfPath) };
  const record = defaultBridge(wish, kept, owned, host, blocksOfOthers(room, kept), clock);
  driverOf(room, record).validate(record);
  registry.save(record);
}

/** The pools of all networks but one. */
function blocksOfOthers({ registry }: NetworkRoom, one: NetworkRecord | null): readonly Block[] {
  const others = registry.list().filter(({ id }) => id !== one?.id);
  return others.flatMap(({ pools }) =>
    pools.map(({ subnet }) => blockOf(subnet)).filter(({ prefixLength }) => prefixLength > 0),
  );
}

/** Empty when there is no such file: then nothing is known of name servers to keep clear of. */
export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
