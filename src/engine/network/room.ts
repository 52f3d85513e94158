import type { Clock } from '../../base/clock.ts';
import { InternalError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Undo } from '../../base/undo.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Kernel, RouteSocket } from '../kernel/kernel.ts';
import { bridgeSettings } from './bridge/settings.ts';
import type { FirewallDriver, NetworkDriver, PublishPolicy } from './driver.ts';
import type { AddressPoolBlock } from './ipam/blocks.ts';
import type { AddressLeases } from './ipam/leases.ts';
import type { Forwarding } from './forwarding.ts';
import type { LiveSandboxes } from './live-sandboxes.ts';
import type { NameService } from './name-service.ts';
import type { Occupancy } from './occupancy.ts';
import type { PortPublisher } from './ports.ts';
import type { DefaultBridgeWish } from './predefined.ts';
import type { NetworkRegistry } from './registry.ts';
import type { Sysctls } from './sysctl.ts';
import type { EndpointState, NetworkRecord, NetworkView, SandboxState } from './types.ts';

/** The parts that index.ts puts together. */
export interface NetworksParts {
  readonly kernel: Kernel;
  readonly route: SharedRoute;
  readonly sysctls: Sysctls;
  readonly events: Pick<Events, 'publish'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: NetworkRegistry;
  readonly leases: AddressLeases;
  readonly firewall: FirewallDriver;
  readonly publisher: PortPublisher;
  /** Null: containers on users' networks have no name service of their own. */
  readonly names: NameService | null;
  readonly drivers: ReadonlyMap<string, NetworkDriver>;
  /** Null: there is no default bridge (`--bridge none`). */
  readonly defaultBridge: DefaultBridgeWish | null;
  /** Where pools come from that users do not choose. */
  readonly addressPools: readonly AddressPoolBlock[];
  readonly forwarding: Forwarding;
  /** Of networks that do not say. */
  readonly publishPolicy: PublishPolicy;
  /** By driver: what networks get that their users do not say. */
  readonly defaultNetworkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly netnsDirectory: string;
  readonly resolvConfPath: string;
}

/** One rtnetlink socket in the daemon's namespace, opened when first needed. */
export interface SharedRoute extends Disposable {
  get(): RouteSocket;
}

/** A sandbox that has its namespace and its addresses. Dispose to let go of what it holds open. */
export interface Arrival extends Disposable {
  readonly state: SandboxState;
  /** Makes the rest. */
  readonly complete: (undo: Undo) => Promise<SandboxState>;
  /** Takes back what there is. */
  readonly undo: Undo;
}

/** The network room at work: its parts, and what is plugged in where. */
export interface NetworkRoom extends NetworksParts {
  readonly live: LiveSandboxes;
  /** Sandboxes that are prepared and not yet complete: nobody is told of them. */
  readonly arriving: Map<ContainerId, Arrival>;
  readonly occupancy: Occupancy;
}

/** The driver of a network's kind. */
export function driverOf(room: NetworkRoom, { driver }: Pick<NetworkRecord, 'driver'>): NetworkDriver {
  const found = room.drivers.get(driver);
  if (found === undefined) throw new InternalError(`network driver ${driver} is not known`);
  return found;
}

/** A network with its live endpoints. */
export function viewOf(room: NetworkRoom, record: NetworkRecord): NetworkView {
  return { ...record, endpoints: room.live.on(record.id) };
}

/** The bridge an endpoint is plugged into; empty when its network has none. */
export function bridgeNameOf(room: NetworkRoom, { networkId }: EndpointState): string {
  const network = room.registry.byId(networkId);
  return network?.driver === 'bridge' ? bridgeSettings(network).bridgeName : '';
}

/** `network connect` and `network disconnect`, one event an endpoint. */
export function tellOfEndpoints(
  room: NetworkRoom,
  action: 'connect' | 'disconnect',
  containerId: ContainerId,
  endpoints: readonly EndpointState[],
): void {
  for (const { networkId, networkName } of endpoints) {
    const driver = room.registry.byId(networkId)?.driver ?? networkName;
    room.events.publish({
      type: 'network',
      action,
      actorId: networkId,
      attributes: { container: containerId, name: networkName, type: driver },
    });
  }
}

/** `network create` and `network destroy`. */
export function tellOfNetwork(room: NetworkRoom, action: 'create' | 'destroy', record: NetworkRecord): void {
  room.events.publish({
    type: 'network',
    action,
    actorId: record.id,
    attributes: { name: record.name, type: record.driver },
  });
}
