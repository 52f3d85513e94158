import { join } from 'node:path';
import { shortId } from '../../../base/ids.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { Sandbox } from '../driver.ts';
import { interfaceName } from '../interface/names.ts';
import { networkNotFound, noSandbox, settingUpFailed } from '../messages.ts';
import { checkRequest } from '../request-rules.ts';
import { tellOfEndpoints } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { createSandbox } from '../sandbox.ts';
import type { OpenSandbox } from '../sandbox.ts';
import type { EndpointState, SandboxRequest, SandboxState } from '../types.ts';
import { planEndpoint } from './endpoint.ts';
import { withGateways } from './gateway.ts';
import { refreshLinks } from './links.ts';
import { placesOf } from './places.ts';
import type { Place } from './places.ts';
import { settle, withNameService } from './name-views.ts';
import { plugIn } from './plug-in.ts';
import { movePorts } from './publishing.ts';
import { limitRates } from './rates.ts';

/** See {@link Networks.prepare}. */
export async function prepareSandbox(room: NetworkRoom, request: SandboxRequest): Promise<SandboxState> {
  checkRequest(request);
  const { kind } = request.mode;
  const places = inDockersWords(() => placesOf(room, request));
  using held = new DisposableStack();
  held.use(inDockersWords(() => enterAll(room, places)));
  return await Undo.guard(async (undo) => {
    const sandbox = kind === 'host' || kind === 'container' ? null : held.use(await makeSandbox(room, request, undo));
    const planned = inDockersWords(() => withGateways(planAll(room, request, places, sandbox === null, undo)));
    const state = stateOf(room, request, sandbox, planned);
    const open = held.move();
    room.arriving.set(request.containerId, {
      state,
      complete: (later) => makeRest(room, request, { places, sandbox, state }, later),
      undo: undo.move(),
      [Symbol.dispose]: () => open.dispose(),
    });
    return state;
  });
}

/** See {@link Networks.complete}. */
export async function completeSandbox(room: NetworkRoom, containerId: ContainerId): Promise<SandboxState> {
  const arrival = room.arriving.get(containerId);
  if (arrival === undefined) throw noSandbox(containerId);
  room.arriving.delete(containerId);
  using _held = arrival;
  const state = await Undo.guard((undo) => {
    undo.adopt(arrival.undo);
    return arrival.complete(undo);
  });
  tellOfEndpoints(room, 'connect', containerId, state.endpoints);
  return state;
}

function stateOf(
  room: NetworkRoom,
  { portBindings, publishAll, hostname, resolver }: SandboxRequest,
  sandbox: Sandbox | null,
  endpoints: readonly EndpointState[],
): SandboxState {
  const state: SandboxState = {
    netnsPath: sandbox?.netnsPath ?? null,
    endpoints,
    ...(portBindings.length + publishAll.length === 0 ? {} : { publishing: { portBindings, publishAll } }),
    ...(hostname === undefined ? {} : { hostname }),
  };
  return withNameService(room, state, resolver);
}

/** What has been prepared of a sandbox. */
interface Prepared {
  readonly places: readonly Place[];
  readonly sandbox: Sandbox | null;
  readonly state: SandboxState;
}

async function makeRest(
  room: NetworkRoom,
  request: SandboxRequest,
  prepared: Prepared,
  undo: Undo,
): Promise<SandboxState> {
  const { sandbox, state } = prepared;
  const endpoints = await plugInAll(room, request, prepared, undo).catch((error: unknown) => {
    throw settingUpFailed(error);
  });
  if (sandbox !== null) writeSysctls(room, sandbox, request.sysctls);
  const whole = { ...state, endpoints };
  await settle(room, request.containerId, sandbox, whole, undo);
  await refreshLinks(room, whole.endpoints);
  return whole;
}

async function plugInAll(
  room: NetworkRoom,
  { portBindings, publishAll, labels = {} }: SandboxRequest,
  { places, sandbox, state: { endpoints } }: Prepared,
  undo: Undo,
): Promise<readonly EndpointState[]> {
  for (const [index, { network }] of places.entries()) {
    const endpoint = endpoints[index];
    if (endpoint === undefined || sandbox === null || endpoint.interfaceName === '') continue;
    // No need to undo: the link goes with the namespace.
    await plugIn(room, network, endpoint, sandbox);
    limitRates(room, endpoint, sandbox, labels);
  }
  return await movePorts(room, [], endpoints, { portBindings, publishAll }, undo);
}

function inDockersWords<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw settingUpFailed(error);
  }
}

/** Keeps the networks from being removed meanwhile. NotFoundError when one is being removed already. */
export function enterAll(room: NetworkRoom, places: readonly Pick<Place, 'network'>[]): Disposable {
  using stack = new DisposableStack();
  for (const { network } of places) {
    const inside = room.occupancy.enter(network.id);
    if (inside === null) throw networkNotFound(network.name);
    stack.use(inside);
  }
  return stack.move();
}

function planAll(
  room: NetworkRoom,
  request: SandboxRequest,
  places: readonly Place[],
  isHost: boolean,
  undo: Undo,
): readonly EndpointState[] {
  const taken = new Set<string>();
  return places.map((place) => {
    const name = isHost ? '' : interfaceName(place.network, place.wish?.driverOptions, taken);
    taken.add(name);
    const macAddress = place.isMain ? request.macAddress : null;
    const planned = planEndpoint(room, place, { ...request, interfaceName: name, macAddress }, undo);
    return place.isMain && request.opened !== undefined ? { ...planned, opened: request.opened } : planned;
  });
}

async function makeSandbox(
  room: NetworkRoom,
  { containerId, userns }: SandboxRequest,
  undo: Undo,
): Promise<OpenSandbox> {
  const { kernel, netnsDirectory } = room;
  const netnsPath = join(netnsDirectory, shortId(containerId));
  const sandbox = await createSandbox(kernel, netnsPath, userns ?? null);
  undo.defer(() => kernel.namespaces.removeNetns(netnsPath));
  if (userns !== undefined && 'path' in userns) undo.defer(() => kernel.userNamespaces.remove(userns.path));
  return sandbox;
}

function writeSysctls(room: NetworkRoom, sandbox: Sandbox, values: Readonly<Record<string, string>>): void {
  const entries = Object.entries(values);
  if (entries.length === 0) return;
  room.kernel.namespaces.within(sandbox.netns, () => {
    for (const [key, value] of entries) room.sysctls.write(key, value);
  });
}
