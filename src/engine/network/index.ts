/**
 * The network room: which networks there are, how a container is plugged into them, and how its ports are reached from
 * the host. It calls the kernel (rtnetlink, namespaces, libnftables) and the state file, and knows no container beyond
 * its id; starting processes and writing hosts files is the containers room's business.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Fd, Kernel, RouteSocket } from '../kernel/kernel.ts';
import type { Database } from '../state/database.ts';
import { NetworkRepository } from '../state/networks.ts';
import { BridgeDriver } from './bridge/driver.ts';
import type { NetworkDriver, PublishPolicy } from './driver.ts';
import { chooseFirewall, type FirewallOptions } from './firewall/choice.ts';
import { Forwarding } from './forwarding.ts';
import type { HostFirewall } from './host-firewall.ts';
import { HostDriver } from './host/driver.ts';
import { DEFAULT_ADDRESS_POOLS, withUniqueLocal } from './ipam/blocks.ts';
import type { AddressPoolBlock } from './ipam/blocks.ts';
import { AddressLeases } from './ipam/leases.ts';
import { EngineNetworks } from './networks.ts';
import type { NameService } from './name-service.ts';
import { kernelAnnouncer } from './interface/announce.ts';
import { IpvlanDriver } from './ipvlan/driver.ts';
import { MacvlanDriver } from './macvlan/driver.ts';
import { NoneDriver } from './none/driver.ts';
import type { PortPublisher, UserlandProxy } from './ports.ts';
import { withFreshFlows } from './ports/fresh-flows.ts';
import { createPortProxy } from './ports/proxy.ts';
import { createPortPublisher } from './ports/publisher.ts';
import type { PublisherParts } from './ports/publisher.ts';
import type { DefaultBridgeWish } from './predefined.ts';
import { NetworkRegistry } from './registry.ts';
import type { SharedRoute } from './room.ts';
import { procSysctls } from './sysctl.ts';
import type { Sysctls } from './sysctl.ts';
import type { Networks } from './types.ts';

export { DEFAULT_ADDRESS_POOLS } from './ipam/blocks.ts';
export type { DefaultBridgeWish } from './predefined.ts';
export type { UserlandProxy } from './ports.ts';

/** What the room is given to work with. */
export interface NetworksDependencies {
  readonly kernel: Kernel;
  readonly database: Database;
  readonly events: Pick<Events, 'publish'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null or absent: containers on users' networks have no name service. */
  readonly names?: NameService | null;
  /** Entry of the thread that leads ports where the packet filter cannot; null or absent: nothing does. */
  readonly portProxyUrl?: URL | null;
  /** firewalld; null or absent: nobody is told of bridges. */
  readonly hostFirewall?: HostFirewall | null;
  /** Other than /proc/sys only in tests. */
  readonly sysctls?: Sysctls;
}

/** How the room is to behave. */
export interface NetworksOptions {
  /** The default bridge; null: none, containers that ask for it have only a loopback link (`--bridge none`). */
  readonly defaultBridge: DefaultBridgeWish | null;
  readonly firewall: FirewallOptions;
  /** Options that networks get which do not name them, by driver (`--default-network-opt`); absent: none. */
  readonly defaultNetworkOptions?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Switch forwarding on, of IPv6 as well when a network has it. */
  readonly ipForward: boolean;
  /** The packet filter does not close what forwarding opens to others. Absent: false. */
  readonly ipForwardNoDrop?: boolean;
  /** Of networks that do not say; absent: `open`. */
  readonly publishPolicy?: PublishPolicy;
  /** Where pools come from that users do not choose; absent: the default bridge's, or dockerd's defaults. */
  readonly addressPools?: readonly AddressPoolBlock[];
  /** Where these have no IPv6 block, one of unique local addresses follows from this; absent: there is none. */
  readonly engineId?: string;
  /** Absent: `where-needed`. */
  readonly userlandProxy?: UserlandProxy;
  /** Where sandboxes' namespaces are mounted; of this engine alone. */
  readonly netnsDirectory: string;
  /** Default /etc/resolv.conf: its name servers are kept clear of when a pool is chosen. */
  readonly resolvConfPath?: string;
}

/** Makes the room; nothing is touched before `restore`. */
export function createNetworks(dependencies: NetworksDependencies, options: NetworksOptions): Networks {
  const { kernel, database, events, clock, logger } = dependencies;
  const sysctls = dependencies.sysctls ?? procSysctls;
  const repository = new NetworkRepository(database);
  const registry = new NetworkRegistry(repository);
  const firewall = chooseFirewall(options.firewall, {
    publishPolicy: options.publishPolicy ?? 'open',
    kernel,
    sysctls,
    clock,
    logger,
    hostFirewall: dependencies.hostFirewall ?? null,
  });
  const route = sharedRoute(kernel);
  const forwarding = new Forwarding({
    sysctls,
    route: () => route.get(),
    logger,
    allowed: options.ipForward,
    keepOpen: options.ipForwardNoDrop ?? false,
    noteDirectory: options.netnsDirectory,
  });
  const addressPools = addressPoolsOf(options);
  const driverTools = {
    route: () => route.get(),
    sysctls,
    within: <T>(netns: Fd, job: () => T): T => kernel.namespaces.within(netns, job),
    announcer: kernelAnnouncer(kernel, clock),
    ownership: registry,
    networks: () => registry.list(),
  };
  const drivers: readonly NetworkDriver[] = [
    new BridgeDriver({ ...driverTools, firewall, forwarding }),
    new MacvlanDriver(driverTools),
    new IpvlanDriver(driverTools),
    new HostDriver(),
    new NoneDriver(),
  ];
  return new EngineNetworks({
    kernel,
    route,
    sysctls,
    events,
    clock,
    logger,
    registry,
    leases: new AddressLeases(repository, () => registry.list()),
    firewall,
    publisher: publisherOf(dependencies, options, { firewall, sysctls }),
    names: dependencies.names ?? null,
    drivers: new Map(drivers.map((driver) => [driver.name, driver])),
    defaultBridge: options.defaultBridge === null ? null : { ...options.defaultBridge, addressPools },
    addressPools,
    forwarding,
    publishPolicy: options.publishPolicy ?? 'open',
    defaultNetworkOptions: options.defaultNetworkOptions ?? {},
    netnsDirectory: options.netnsDirectory,
    resolvConfPath: options.resolvConfPath ?? '/etc/resolv.conf',
  });
}

function publisherOf(
  { kernel, logger, portProxyUrl: workerUrl = null }: NetworksDependencies,
  { userlandProxy = 'where-needed' }: NetworksOptions,
  ground: Pick<PublisherParts, 'firewall' | 'sysctls'>,
): PortPublisher {
  const { internet, flows } = kernel;
  const proxy = workerUrl === null ? null : createPortProxy({ internet, logger, workerUrl });
  return withFreshFlows(createPortPublisher({ ...ground, internet, logger, proxy, userlandProxy }), { flows, logger });
}

function addressPoolsOf({ addressPools, defaultBridge, engineId }: NetworksOptions): readonly AddressPoolBlock[] {
  const blocks = addressPools ?? defaultBridge?.addressPools ?? DEFAULT_ADDRESS_POOLS;
  return engineId === undefined ? blocks : withUniqueLocal(blocks, engineId);
}

function sharedRoute(kernel: Kernel): SharedRoute {
  let socket: RouteSocket | null = null;
  return {
    get: () => (socket ??= kernel.openRoute(null)),
    [Symbol.dispose]: () => {
      socket?.[Symbol.dispose]();
      socket = null;
    },
  };
}
