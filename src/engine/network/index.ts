/**
 * The network room: which networks there are, how a container is plugged into them, and how its ports are reached from
 * the host. It calls the kernel (rtnetlink, namespaces, libnftables) and the state file, and knows no container beyond
 * its id; starting processes and writing hosts files is the containers room's business.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Kernel, RouteSocket } from '../kernel/kernel.ts';
import type { Database } from '../state/database.ts';
import { NetworkRepository } from '../state/networks.ts';
import { BridgeDriver } from './bridge/driver.ts';
import type { NetworkDriver } from './driver.ts';
import { NftablesFirewall } from './firewall/nftables/driver.ts';
import { UntouchedFirewall } from './firewall/untouched.ts';
import { HostDriver } from './host/driver.ts';
import { AddressLeases } from './ipam.ts';
import { EngineNetworks } from './networks.ts';
import type { SharedRoute } from './networks.ts';
import { NoneDriver } from './none/driver.ts';
import { PortPublisher } from './port-publisher.ts';
import { reservePort } from './port-reservation.ts';
import type { DefaultBridgeWish } from './predefined.ts';
import { NetworkRegistry } from './registry.ts';
import { procSysctls } from './sysctl.ts';
import type { Sysctls } from './sysctl.ts';
import type { Networks } from './types.ts';

export { DEFAULT_ADDRESS_POOLS } from './pools.ts';
export type { DefaultBridgeWish } from './predefined.ts';

/** What the room is given to work with. */
export interface NetworksDependencies {
  readonly kernel: Kernel;
  readonly database: Database;
  readonly events: Pick<Events, 'publish'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Other than /proc/sys only in tests. */
  readonly sysctls?: Sysctls;
}

/** How the room is to behave. */
export interface NetworksOptions {
  /** The default bridge; null: none, containers that ask for it have only a loopback link (`--bridge none`). */
  readonly defaultBridge: DefaultBridgeWish | null;
  /**
   * `nftables`: a table of our own of this name; it must differ from engine to engine on one host. `none`: no packet filter
   * is touched (`--iptables=false`).
   */
  readonly firewall: { readonly kind: 'nftables'; readonly tableName: string } | { readonly kind: 'none' };
  /** Switch net.ipv4.ip_forward on. */
  readonly ipForward: boolean;
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
  const firewall =
    options.firewall.kind === 'nftables'
      ? new NftablesFirewall(kernel.nft, options.firewall.tableName)
      : new UntouchedFirewall();
  const route = sharedRoute(kernel);
  const drivers: readonly NetworkDriver[] = [
    new BridgeDriver({ route: () => route.get(), sysctls, firewall, ownership: registry }),
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
    leases: new AddressLeases(repository),
    firewall,
    publisher: new PortPublisher(firewall, reservePort),
    drivers: new Map(drivers.map((driver) => [driver.name, driver])),
    defaultBridge: options.defaultBridge,
    ipForward: options.ipForward,
    netnsDirectory: options.netnsDirectory,
    resolvConfPath: options.resolvConfPath ?? '/etc/resolv.conf',
  });
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
