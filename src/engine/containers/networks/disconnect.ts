import { InternalError, InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { Container } from '../container.ts';
import { noSuchContainer } from '../errors.ts';
import type { Room } from '../room.ts';
import { isLive } from '../state.ts';
import { emptyName, findNetwork, refuseRemoved, settle } from './connect.ts';
import { membershipsOf, withoutMembership } from '../membership.ts';

/** Whom to take off which network. */
export interface DisconnectOrder {
  readonly ref: string;
  readonly network: string;
  /** Also where container or network is not there any more. */
  readonly force: boolean;
}

/**
 * Takes a container off one network: at once where it runs, and for its next start. NotFoundError, InvalidArgumentError,
 * InternalError in Docker's words.
 */
export async function disconnectNetwork(room: Room, order: DisconnectOrder): Promise<void> {
  if (order.ref === '') throw emptyName();
  const container = room.registry.find(order.ref);
  if (container === null) {
    if (!order.force) throw noSuchContainer(order.ref);
    await dropEndpoint(room, order);
    return;
  }
  await container.mailbox.run(async () => {
    refuseRemoved(room, container);
    const network = findNetwork(room, order.network);
    const isRunning = isLive(container.state);
    if (!isRunning || (network === null && order.force)) {
      forget(container, network?.name ?? order.network);
      return;
    }
    await unplug(room, container, order);
  });
}

async function unplug(room: Room, container: Container, { network: ref, force }: DisconnectOrder): Promise<void> {
  const network = room.networks.get(ref);
  const { host } = container.document.spec;
  if (host.network.kind === 'host' && network.driver === 'host') {
    throw new InvalidArgumentError(
      'cannot disconnect container from host network - container was created in host network mode',
    );
  }
  if (!network.endpoints.some(({ containerId }) => containerId === container.id)) {
    throw new InternalError(`container ${container.id} is not connected to network ${network.name}`);
  }
  const sandbox = await room.networks.disconnect({ containerId: container.id, network: network.id, force });
  settle(room, container, withoutMembership(host, network.name), sandbox);
}

function forget(container: Container, name: string): void {
  const { document } = container;
  const { spec } = document;
  if (!membershipsOf(spec.host).has(name)) {
    throw new InternalError(`container ${container.id} is not connected to the network ${name}`);
  }
  container.amend({ ...document, spec: { ...spec, host: withoutMembership(spec.host, name) } });
}

/** Of a container that is no more, known by the name or id that it had. */
async function dropEndpoint(room: Room, { ref, network: networkRef }: DisconnectOrder): Promise<void> {
  const network = room.networks.get(networkRef);
  const left = network.endpoints.find(
    ({ containerId, dnsNames }) =>
      room.registry.get(containerId) === null && (containerId.startsWith(ref) || dnsNames?.[0] === ref),
  );
  if (left === undefined) throw new NotFoundError(`endpoint ${ref} not found`);
  await room.networks.disconnect({ containerId: left.containerId, network: network.id, force: true });
}
