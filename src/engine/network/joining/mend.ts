/**
 * Sandboxes of running containers that a crash has left between two steps of `network connect` or `disconnect`.
 *
 * What tells them is the table of leases: connecting writes an address down before it makes the link, disconnecting strikes
 * it out before it takes the link away; the sandbox itself is written down last. Where table and sandbox agree nothing was
 * interrupted, and nothing is looked at. Where they do not, the sandbox is right, and the kernel is made to follow it.
 */
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId, NetworkId } from '../../../base/ids.ts';
import type { Link } from '../../kernel/kernel.ts';
import type { StoredLease } from '../../state/networks.ts';
import type { Sandbox } from '../driver.ts';
import { prefixOf } from '../interface/names.ts';
import { driverOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { openSandbox } from '../sandbox.ts';
import type { EndpointState, SandboxState } from '../types.ts';
import { ensureDefaultRoutes } from './default-routes.ts';
import { plugIn } from './plug-in.ts';

/** Kinds of links that drivers make in sandboxes. */
const ENDPOINT_LINKS: ReadonlySet<string | null> = new Set(['veth', 'macvlan', 'ipvlan']);

/** The leases that the endpoints of a sandbox stand for. */
export function leasesOf({ networkId, ipv4Address, ipv6Address, containerId }: EndpointState): readonly StoredLease[] {
  const addresses = [ipv4Address, ipv6Address].filter((address) => address !== null);
  return addresses.map((address) => ({ networkId, address, containerId }));
}

/** Mends what was interrupted; `stored` are the leases as the last run left them. A failure costs a warning. */
export async function mendSandboxes(room: NetworkRoom, stored: readonly StoredLease[]): Promise<void> {
  for (const [containerId, networks] of interrupted(room, stored)) {
    const sandbox = room.live.get(containerId);
    if (sandbox?.netnsPath === undefined || sandbox.netnsPath === null) continue;
    room.logger.warn('a change of networks was interrupted: the container is put back onto those it was on', {
      containerId,
    });
    try {
      await mendSandbox(room, sandbox, sandbox.netnsPath, networks);
    } catch (error) {
      room.logger.warn('networks of a container could not be put right', { containerId, reason: messageOf(error) });
    }
  }
}

/** Whose leases differ from their endpoints, and on which networks. */
function interrupted(
  { live }: NetworkRoom,
  stored: readonly StoredLease[],
): ReadonlyMap<ContainerId, ReadonlySet<NetworkId>> {
  const keyOf = ({ networkId, address, containerId }: StoredLease): string => `${networkId} ${address} ${containerId}`;
  const standing = live.endpoints().flatMap(leasesOf);
  const [storedKeys, standingKeys] = [new Set(stored.map(keyOf)), new Set(standing.map(keyOf))];
  const odd = [
    ...stored.filter((lease) => !standingKeys.has(keyOf(lease)) && live.get(lease.containerId) !== null),
    ...standing.filter((lease) => !storedKeys.has(keyOf(lease))),
  ];
  return new Map(
    [...Map.groupBy(odd, ({ containerId }) => containerId)].map(([containerId, leases]) => [
      containerId,
      new Set(leases.map(({ networkId }) => networkId)),
    ]),
  );
}

async function mendSandbox(
  room: NetworkRoom,
  { endpoints }: SandboxState,
  netnsPath: string,
  networks: ReadonlySet<NetworkId>,
): Promise<void> {
  using sandbox = openSandbox(room.kernel, netnsPath);
  const known = new Set(endpoints.map(({ interfaceName }) => interfaceName));
  for (const link of sandbox.inside.links()) {
    if (!known.has(link.name) && isStray(room, link, networks)) await sandbox.inside.retireLink(link.index);
  }
  for (const endpoint of endpoints) {
    if (networks.has(endpoint.networkId)) await plugInAgain(room, endpoint, sandbox);
  }
  ensureDefaultRoutes(sandbox, endpoints);
}

/** A link as the drivers of these networks name theirs. Other programs in the container may have made links, too. */
function isStray(room: NetworkRoom, { name, type }: Link, networks: ReadonlySet<NetworkId>): boolean {
  if (!ENDPOINT_LINKS.has(type)) return false;
  return [...networks].some((id) => {
    const network = room.registry.byId(id);
    if (network === null) return false;
    const prefix = prefixOf(network);
    return name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length));
  });
}

/** A link that was half made has perhaps no address: it is made anew. */
async function plugInAgain(room: NetworkRoom, endpoint: EndpointState, sandbox: Sandbox): Promise<void> {
  const network = room.registry.byId(endpoint.networkId);
  if (network === null || endpoint.interfaceName === '') return;
  await driverOf(room, network).disconnect(endpoint, sandbox, network);
  await plugIn(room, network, { ...endpoint, gatewayOf: [] }, sandbox);
}
