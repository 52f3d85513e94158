import { Undo } from '../../../base/undo.ts';
import type { Sandbox } from '../driver.ts';
import { interfaceName } from '../interface/names.ts';
import { endpointExists, noSandbox } from '../messages.ts';
import { checkRequest } from '../request-rules.ts';
import { driverOf, tellOfEndpoints } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { openSandbox } from '../sandbox.ts';
import type { ConnectRequest, EndpointState, SandboxState } from '../types.ts';
import { moveDefaultRoutes } from './default-routes.ts';
import { planEndpoint } from './endpoint.ts';
import { withGateways } from './gateway.ts';
import { settle, withNameService } from './name-views.ts';
import { checkPluggable } from './places.ts';
import { movePorts } from './publishing.ts';
import { limitRates } from './rates.ts';
import { plugIn } from './plug-in.ts';
import { enterAll } from './set-up.ts';

/** See {@link Networks.connect}. */
export async function connectSandbox(room: NetworkRoom, request: ConnectRequest): Promise<SandboxState> {
  const { containerId, containerName, wish, portBindings, publishAll, hostname } = request;
  const network = room.registry.get(request.network);
  checkRequest({ ...request, mode: HERE, endpoints: { [network.name]: wish }, macAddress: null, sysctls: {} });
  const before = room.live.get(containerId);
  if (before?.netnsPath === null || before === null) throw noSandbox(containerId);
  const { netnsPath } = before;
  checkPluggable(network);
  if (before.endpoints.some(({ networkId }) => networkId === network.id)) {
    throw endpointExists(containerName, network.name);
  }
  using _inside = enterAll(room, [{ network }]);
  const after = await Undo.guard(async (undo) => {
    using sandbox = openSandbox(room.kernel, netnsPath);
    const newcomer = {
      ...request,
      interfaceName: interfaceName(network, wish.driverOptions, namesTaken(sandbox, before.endpoints)),
      macAddress: null,
    };
    const planned = planEndpoint(room, { network, wish, isMain: false }, newcomer, undo);
    const endpoints = withGateways([...before.endpoints, planned]);
    // The default routes are moved when the link is there: until then the old ones serve.
    const unrouted = { ...planned, gatewayOf: [] };
    await plugIn(room, network, unrouted, sandbox);
    undo.defer(() => unplugAgain(room, planned, netnsPath));
    limitRates(room, planned, sandbox, request.labels);
    moveDefaultRoutes(sandbox, before.endpoints, endpoints, undo);
    const publishing = { portBindings, publishAll };
    const plugged: SandboxState = {
      ...before,
      hostname,
      ...(portBindings.length + publishAll.length === 0 ? {} : { publishing }),
      endpoints: await movePorts(room, before.endpoints, endpoints, publishing, undo),
    };
    const state = withNameService(room, plugged, request.resolver);
    await settle(room, containerId, sandbox, state, undo);
    return state;
  });
  tellOfEndpoints(room, 'connect', containerId, after.endpoints.slice(-1));
  return after;
}

/** What a request for one more network has in place of a mode: nothing is judged by it. */
const HERE = { kind: 'none' } as const;

/** Names of links that are there: one of a network that was left may be on its way out still. */
function namesTaken({ inside }: Sandbox, endpoints: readonly EndpointState[]): ReadonlySet<string> {
  return new Set(
    [...inside.links(), ...endpoints.map(({ interfaceName: name }) => ({ name }))].map(({ name }) => name),
  );
}

async function unplugAgain(room: NetworkRoom, endpoint: EndpointState, netnsPath: string): Promise<void> {
  const network = room.registry.byId(endpoint.networkId);
  if (network === null) return;
  using sandbox = openSandbox(room.kernel, netnsPath);
  await driverOf(room, network).disconnect(endpoint, sandbox, network);
}
