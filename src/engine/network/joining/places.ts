import { endpointOnConfiguration, networkNotFound } from '../messages.ts';
import { DEFAULT_NETWORK_NAME } from '../predefined.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointWish, NetworkRecord, SandboxRequest } from '../types.ts';

/** One network that a container is to be plugged into, and how. */
export interface Place {
  readonly network: NetworkRecord;
  readonly wish: EndpointWish | null;
  /** The network of the container's mode: what the container wants of its one interface holds for this. */
  readonly isMain: boolean;
}

/** Where a container goes: the network of its mode first, the others by name. NotFoundError for one that is not there. */
export function placesOf(room: NetworkRoom, request: Omit<SandboxRequest, 'containerId'>): readonly Place[] {
  const { mode, endpoints } = request;
  switch (mode.kind) {
    case 'host':
    case 'none':
      return [{ network: room.registry.get(mode.kind), wish: null, isMain: true }];
    case 'container':
      return [];
    case 'network':
      return placesOfNetworks(room, mode.name, endpoints, request.exactly ?? false);
  }
}

function placesOfNetworks(
  room: NetworkRoom,
  main: string,
  endpoints: SandboxRequest['endpoints'],
  exactly: boolean,
): readonly Place[] {
  // As dockerd does under `--bridge none`: the container starts with nothing but its loopback link.
  const isThere = (ref: string): boolean => ref !== DEFAULT_NETWORK_NAME || room.defaultBridge !== null;
  const refs = [...(exactly ? [] : [main]), ...Object.keys(endpoints)].filter(isThere);
  const wishes = new Map<NetworkRecord, EndpointWish | null>();
  for (const ref of refs) {
    const network = room.registry.get(ref);
    checkPluggable(network);
    wishes.set(network, endpoints[ref] ?? wishes.get(network) ?? null);
  }
  const places = [...wishes].map(([network, wish]) => ({ network, wish, isMain: isNamed(network, main) }));
  return places.sort((a, b) => Number(b.isMain) - Number(a.isMain) || compareText(a.network.name, b.network.name));
}

function isNamed({ id, name }: NetworkRecord, ref: string): boolean {
  return name === ref || id === ref || (ref !== '' && id.startsWith(ref));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** `host` and `none` are modes, never one network among others; a configuration is no network yet. */
export function checkPluggable({ name, driver, configuration }: NetworkRecord): void {
  if (configuration !== undefined) throw endpointOnConfiguration();
  if (driver === 'host' || driver === 'null') throw networkNotFound(name);
}
