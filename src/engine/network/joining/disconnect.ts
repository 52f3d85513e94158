import { messageOf } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import { noSandbox, notConnected } from '../messages.ts';
import { bridgeNameOf, driverOf, tellOfEndpoints } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { openSandbox } from '../sandbox.ts';
import type { OpenSandbox } from '../sandbox.ts';
import type { DisconnectRequest, EndpointState, SandboxState } from '../types.ts';
import { moveDefaultRoutes } from './default-routes.ts';
import { withGateways } from './gateway.ts';
import { refreshLinks } from './links.ts';
import { leasesOf } from './mend.ts';
import { refreshNames } from './name-views.ts';
import { movePorts, restorePorts } from './publishing.ts';
import { releaseAddresses } from './tear-down.ts';

/** See {@link Networks.disconnect}. */
export async function disconnectSandbox(room: NetworkRoom, request: DisconnectRequest): Promise<SandboxState> {
  const { containerId, force } = request;
  const network = room.registry.get(request.network);
  const before = room.live.get(containerId);
  if (before === null) throw noSandbox(containerId);
  const leaving = before.endpoints.find(({ networkId }) => networkId === network.id);
  if (leaving === undefined) throw notConnected(containerId, network.name);
  using sandbox = openUnlessGone(room, before.netnsPath, force);
  await attempt(room, force, () =>
    Undo.guard(async (undo) => {
      room.leases.announceRelease(leasesOf(leaving));
      undo.defer(() => room.leases.revokeRelease(leasesOf(leaving)));
      await room.publisher.unpublish(bridgeNameOf(room, leaving), leaving.publishedPorts);
      undo.defer(() => restorePorts(room, leaving));
      await driverOf(room, network).disconnect(leaving, sandbox, network);
    }),
  );
  // From here on it is off the network, whatever else fails.
  const others = before.endpoints.filter((endpoint) => endpoint !== leaving);
  releaseAddresses(room, leaving);
  const after = { ...before, endpoints: await leadOutByOthers(room, before, others, sandbox) };
  room.live.set(containerId, after);
  await refreshLinks(room, [leaving]);
  refreshNames(room, before.endpoints);
  tellOfEndpoints(room, 'disconnect', containerId, [leaving]);
  return after;
}

/** The other endpoints, with default routes and ports where they are to be now; a failure leaves them without. */
async function leadOutByOthers(
  room: NetworkRoom,
  { endpoints: before, publishing }: SandboxState,
  others: readonly EndpointState[],
  sandbox: OpenSandbox | null,
): Promise<readonly EndpointState[]> {
  const endpoints = withGateways(others);
  const wish = publishing ?? { portBindings: [], publishAll: [] };
  try {
    return await Undo.guard(async (undo) => {
      if (sandbox !== null) moveDefaultRoutes(sandbox, before, endpoints, undo);
      return await movePorts(room, others, endpoints, wish, undo);
    });
  } catch (error) {
    room.logger.warn('a container has lost its way out with the network it left', {
      containerId: others[0]?.containerId ?? '',
      reason: messageOf(error),
    });
    return others;
  }
}

function openUnlessGone(room: NetworkRoom, netnsPath: string | null, force: boolean): OpenSandbox | null {
  if (netnsPath === null) return null;
  try {
    return openSandbox(room.kernel, netnsPath);
  } catch (error) {
    if (!force) throw error;
    return null;
  }
}

async function attempt(room: NetworkRoom, force: boolean, job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    if (!force) throw error;
    room.logger.warn('a container was disconnected by force', { reason: messageOf(error) });
  }
}
