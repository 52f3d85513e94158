import type { Undo } from '../../../base/undo.ts';
import type { ContainerId, NetworkId } from '../../../base/ids.ts';
import type { NamedEndpoint, NameView, NetworkNames } from '../name-service.ts';
import { isPredefined } from '../predefined.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState, ResolverWish, SandboxState } from '../types.ts';
import type { Sandbox } from '../driver.ts';

/**
 * The state that remembers a name service, when the sandbox is to be on a user's network. The service goes on to the
 * sandbox's end, as Docker's does: what asks it may not ask elsewhere later.
 */
export function withNameService(
  { names }: NetworkRoom,
  state: SandboxState,
  wish: ResolverWish = { servers: [], search: [], options: [] },
): SandboxState {
  const isNeeded = state.endpoints.some(({ networkName }) => !isPredefined(networkName));
  if (!isNeeded || names === null || state.netnsPath === null || state.resolver !== undefined) return state;
  return { ...state, resolver: { wish } };
}

/** Makes a sandbox known, to its neighbours too, and starts the name service that its state remembers and it has not yet. */
export async function settle(
  room: NetworkRoom,
  containerId: ContainerId,
  sandbox: Sandbox | null,
  state: SandboxState,
  undo: Undo,
): Promise<void> {
  const before = room.live.get(containerId);
  const starts = sandbox !== null && state.resolver !== undefined && before?.resolver === undefined;
  room.live.set(containerId, state);
  undo.defer(() => {
    if (before === null) room.live.delete(containerId);
    else room.live.set(containerId, before);
    refreshNames(room, state.endpoints);
  });
  const views = new ViewMaker(room);
  if (starts) await startNames(room, containerId, sandbox, views);
  refreshNames(room, state.endpoints, views, starts ? containerId : null);
}

/** Starts the name service of a sandbox that the room knows. */
export async function startNames(
  room: NetworkRoom,
  containerId: ContainerId,
  { netnsPath, netns }: Sandbox,
  views: ViewMaker,
): Promise<void> {
  const state = room.live.get(containerId);
  if (state !== null) await room.names?.start({ containerId, netnsPath, netns }, views.viewOf(state));
}

/** Gives each container on the networks of these endpoints the view that it is to have now; but not who has it already. */
export function refreshNames(
  room: NetworkRoom,
  endpoints: readonly EndpointState[],
  views = new ViewMaker(room),
  told: ContainerId | null = null,
): void {
  const { names } = room;
  if (names === null) return;
  const containers = new Set<ContainerId>();
  for (const { containerId, networkId, networkName } of endpoints) {
    containers.add(containerId);
    if (isPredefined(networkName)) continue;
    for (const neighbour of room.live.on(networkId)) containers.add(neighbour.containerId);
  }
  for (const containerId of containers) {
    const sandbox = room.live.get(containerId);
    if (sandbox?.resolver !== undefined && containerId !== told) names.update(containerId, views.viewOf(sandbox));
  }
}

/** Makes views that share what is the same in each: the list of a network's endpoints is made once for all its containers. */
export class ViewMaker {
  readonly #room: NetworkRoom;
  readonly #shared = new Map<NetworkId, Omit<NetworkNames, 'links'>>();

  constructor(room: NetworkRoom) {
    this.#room = room;
  }

  viewOf({ endpoints, resolver }: SandboxState): NameView {
    return {
      networks: endpoints.map((endpoint) => ({ ...this.#namesOf(endpoint), links: endpoint.links ?? {} })),
      servers: resolver?.wish.servers ?? [],
      options: resolver?.wish.options ?? [],
    };
  }

  #namesOf({ networkId, networkName }: EndpointState): Omit<NetworkNames, 'links'> {
    let names = this.#shared.get(networkId);
    if (names === undefined) {
      const network = this.#room.registry.byId(networkId);
      names = {
        networkName,
        internal: network?.internal ?? false,
        ipv4: network?.enableIpv4 ?? true,
        ipv6: network?.enableIpv6 ?? false,
        endpoints: isPredefined(networkName) ? [] : this.#room.live.on(networkId).map(namedEndpointOf),
      };
      this.#shared.set(networkId, names);
    }
    return names;
  }
}

function namedEndpointOf({ dnsNames, ipv4Address, ipv6Address }: EndpointState): NamedEndpoint {
  return { names: dnsNames ?? [], ipv4Address, ipv6Address };
}
