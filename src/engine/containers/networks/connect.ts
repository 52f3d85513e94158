import { ForbiddenError, InternalError, InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { EndpointWish, NetworkView, SandboxState } from '../../network/types.ts';
import type { Container } from '../container.ts';
import { noSuchContainer } from '../errors.ts';
import type { Room } from '../room.ts';
import type { HostOptions } from '../spec-types.ts';
import { followHosts } from '../setup/hosts.ts';
import { followResolver } from '../setup/resolver.ts';
import { isLive } from '../state.ts';
import { membershipsOf, withMembership } from '../membership.ts';
import { resolverWishOf, sandboxRequestOf } from './sandbox-request.ts';
import { wishProblem } from './wish-rules.ts';

const SHARED =
  'container sharing network namespace with another container or host cannot be connected to any other network';

/**
 * Puts a container on one more network: at once where it runs, else from its next start on. NotFoundError,
 * InvalidArgumentError, ForbiddenError in Docker's words; nothing has changed then.
 */
export async function connectNetwork(
  room: Room,
  request: { readonly ref: string; readonly network: string; readonly wish: EndpointWish },
): Promise<void> {
  if (request.ref === '') throw emptyName();
  const container = room.registry.resolve(request.ref);
  await container.mailbox.run(async () => {
    refuseRemoved(room, container);
    if (container.document.spec.host.network.kind === 'container') throw new InvalidArgumentError(SHARED);
    if (isLive(container.state)) await connectLive(room, container, request);
    else connectLater(room, container, request);
  });
}

/** Of a request that names no container. */
export function emptyName(): InvalidArgumentError {
  return new InvalidArgumentError('invalid name or ID supplied: ""');
}

/** InternalError in Docker's words for one that is on its way out. */
export function refuseRemoved(room: Room, container: Container): void {
  if (room.registry.get(container.id) !== container) throw noSuchContainer(container.id);
  const { status } = container.state;
  if (container.removing || status === 'removing' || status === 'dead') {
    throw new InternalError(
      `Container ${container.id} is marked for removal and cannot be connected or disconnected to the network`,
    );
  }
}

/** The network, or null where there is none of this name. */
export function findNetwork(room: Room, ref: string): NetworkView | null {
  try {
    return room.networks.get(ref);
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

/** Writes down both what runs now and what is asked for, or neither. */
export function settle(room: Room, container: Container, host: HostOptions, sandbox: SandboxState): void {
  const { document, live } = container;
  room.db.transaction(() => {
    container.amend({ ...document, spec: { ...document.spec, host } });
    container.update({ sandbox });
  });
  if (live.sandbox === null) return;
  followHosts(room, container, live.sandbox, sandbox);
  followResolver(room, container, live.sandbox, sandbox);
}

async function connectLive(
  room: Room,
  container: Container,
  { network: ref, wish }: { readonly network: string; readonly wish: EndpointWish },
): Promise<void> {
  const { spec } = container.document;
  const network = room.networks.get(ref);
  checkWish(room, container, network, wish);
  if (network.endpoints.some(({ containerId }) => containerId === container.id)) {
    throw new ForbiddenError(`endpoint with name ${container.name} already exists in network ${network.name}`);
  }
  const { portBindings, publishAll } = sandboxRequestOf(spec, room.options);
  const sandbox = await room.networks.connect({
    containerId: container.id,
    containerName: container.name,
    hostname: spec.hostname,
    network: network.id,
    wish,
    portBindings,
    publishAll,
    resolver: resolverWishOf(spec.host, room.options),
    labels: spec.labels,
  });
  try {
    settle(room, container, withMembership(spec.host, network.name, wish), sandbox);
  } catch (error) {
    await room.networks.disconnect({ containerId: container.id, network: network.id, force: true });
    throw error;
  }
}

function connectLater(
  room: Room,
  container: Container,
  { network: ref, wish }: { readonly network: string; readonly wish: EndpointWish },
): void {
  const { document } = container;
  const { spec } = document;
  // As dockerd: a network that is not there yet may be there when it starts.
  const network = findNetwork(room, ref);
  if (network !== null) {
    checkWish(room, container, network, wish);
    if (membershipsOf(spec.host).has(network.name)) return;
  }
  const host = withMembership(spec.host, network?.name ?? ref, wish);
  container.amend({ ...document, spec: { ...spec, host } });
}

function checkWish(room: Room, container: Container, network: NetworkView, wish: EndpointWish): void {
  const problem = wishProblem(network.name, network, wish);
  if (problem !== null) throw new InvalidArgumentError(problem);
  const { host } = container.document.spec;
  if (host.network.kind !== 'host' && network.driver === 'host') {
    throw new InvalidArgumentError(
      'cannot connect container to host network - container must be created in host network mode',
    );
  }
  for (const name of membershipsOf(host).keys()) {
    if (name === network.name) return;
    if (findNetwork(room, name)?.driver === 'host' || network.driver === 'host') throw new InvalidArgumentError(SHARED);
    if (name === 'none' || network.name === 'none') {
      throw new InvalidArgumentError(
        'container cannot be connected to multiple networks with one of the networks in private (none) mode',
      );
    }
  }
}
