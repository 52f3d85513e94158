import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SHORT_ID_LENGTH } from '../../../base/ids.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import { bridgeNameOf, tellOfEndpoints } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState, SandboxState } from '../types.ts';
import { refreshLinks } from './links.ts';
import { refreshNames } from './name-views.ts';

/** Name of a sandbox's file in the netns directory. */
const SANDBOX_FILE = new RegExp(`^[0-9a-f]{${String(SHORT_ID_LENGTH)}}$`);

/** See {@link Networks.tearDown}. */
export async function tearDownSandbox(
  room: NetworkRoom,
  containerId: ContainerId,
  sandbox: SandboxState,
): Promise<void> {
  // Of a container that ended while the daemon was away only the namespace is left: what it had of addresses and ports
  // was not restored, and may be another container's by now.
  const endpoints = room.live.get(containerId)?.endpoints ?? [];
  room.live.delete(containerId);
  const arrival = room.arriving.get(containerId);
  room.arriving.delete(containerId);
  using _held = arrival;
  // Last deferred, first done: ports lead nowhere before their address may be another container's.
  const undo = new Undo();
  undo.defer(() => {
    if (sandbox.netnsPath !== null) room.kernel.namespaces.removeNetns(sandbox.netnsPath);
  });
  for (const endpoint of endpoints) releaseEndpoint(room, endpoint, undo);
  undo.defer(() => refreshLinks(room, endpoints));
  if (arrival !== undefined) undo.adopt(arrival.undo);
  room.names?.stop(containerId);
  const failures = await undo.rollBack();
  refreshNames(room, endpoints);
  tellOfEndpoints(room, 'disconnect', containerId, endpoints);
  if (failures.length > 0) throw failures[0];
}

/** Defers giving ports and addresses of an endpoint back. */
function releaseEndpoint(room: NetworkRoom, endpoint: EndpointState, undo: Undo): void {
  undo.defer(() => releaseAddresses(room, endpoint));
  undo.defer(() => room.publisher.unpublish(bridgeNameOf(room, endpoint), endpoint.publishedPorts));
}

/** Gives the addresses of an endpoint back. */
export function releaseAddresses(
  { leases }: NetworkRoom,
  { networkId, ipv4Address, ipv6Address }: EndpointState,
): void {
  if (ipv4Address !== null) leases.release(networkId, ipv4Address);
  if (ipv6Address !== null) leases.release(networkId, ipv6Address);
}

/** Removes namespace files that belong to no running container: left by a crash, or by a set-up that could not undo. */
export function sweepSandboxes(room: NetworkRoom): void {
  const { kernel, netnsDirectory, logger } = room;
  const kept = new Set([...room.live.entries()].map(([, { netnsPath }]) => netnsPath));
  // An engine torn down before it ever ran has no such folder, and nothing to sweep.
  if (!existsSync(netnsDirectory)) return;
  for (const name of readdirSync(netnsDirectory)) {
    const path = join(netnsDirectory, name);
    if (!SANDBOX_FILE.test(name) || kept.has(path)) continue;
    logger.debug('removing a network namespace that no container uses', { path });
    kernel.namespaces.removeNetns(path);
  }
}
