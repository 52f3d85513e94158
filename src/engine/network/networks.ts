import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { ForbiddenError, InternalError, NotImplementedError } from '../../base/errors.ts';
import { newId, shortId, SHORT_ID_LENGTH } from '../../base/ids.ts';
import type { ContainerId, EndpointId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import { Undo } from '../../base/undo.ts';
import type { Events } from '../events/types.ts';
import type { Kernel, RouteSocket } from '../kernel/kernel.ts';
import { firewallNetworkOf } from './bridge/driver.ts';
import { bridgeSettings } from './bridge/settings.ts';
import type { FirewallDriver, NetworkDriver, Sandbox } from './driver.ts';
import type { AddressLeases } from './ipam.ts';
import { parseCidr } from './ipv4.ts';
import { networkNotFound, programmingFailed } from './messages.ts';
import { macAddressOf, parseMac } from './naming.ts';
import { allBindings } from './port-publisher.ts';
import type { PortPublisher } from './port-publisher.ts';
import { defaultGatewayOf } from './pools.ts';
import { DEFAULT_NETWORK_NAME, defaultBridge, isPredefined, plainNetwork } from './predefined.ts';
import type { DefaultBridgeWish } from './predefined.ts';
import type { NetworkRegistry } from './registry.ts';
import { checkRequest } from './request-rules.ts';
import { createSandbox } from './sandbox.ts';
import type { OpenSandbox } from './sandbox.ts';
import type { Sysctls } from './sysctl.ts';
import type { EndpointState, NetworkRecord, Networks, NetworkView, SandboxRequest, SandboxState } from './types.ts';

/** Name of a sandbox's file in the netns directory. */
const SANDBOX_FILE = new RegExp(`^[0-9a-f]{${String(SHORT_ID_LENGTH)}}$`);

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
  readonly drivers: ReadonlyMap<string, NetworkDriver>;
  /** Null: there is no default bridge (`--bridge none`). */
  readonly defaultBridge: DefaultBridgeWish | null;
  readonly ipForward: boolean;
  readonly netnsDirectory: string;
  readonly resolvConfPath: string;
}

/** One rtnetlink socket in the daemon's namespace, opened when first needed. */
export interface SharedRoute extends Disposable {
  get(): RouteSocket;
}

/** The network room at work: see driver.ts for its stories. */
export class EngineNetworks implements Networks {
  readonly #parts: NetworksParts;
  readonly #live = new Map<ContainerId, SandboxState>();

  constructor(parts: NetworksParts) {
    this.#parts = parts;
  }

  async restore(live: Parameters<Networks['restore']>[0]): Promise<void> {
    const { registry, leases, publisher, firewall, logger, netnsDirectory } = this.#parts;
    mkdirSync(netnsDirectory, { recursive: true });
    registry.load();
    this.#live.clear();
    for (const { containerId, sandbox } of live) this.#live.set(containerId, sandbox);
    const endpoints = this.#liveEndpoints();
    await this.#predefine(endpoints);
    this.#allowForwarding();
    const bridges = registry.list().filter(({ driver }) => driver === 'bridge');
    const ports = endpoints.flatMap(({ publishedPorts }) => publishedPorts);
    await Undo.guard(async (undo) => {
      // A start that fails leaves no rules, unless containers that still run need them.
      if (live.length === 0) undo.defer(() => firewall.tearDown());
      await firewall.initialise({ networks: bridges.map(firewallNetworkOf), ports });
      for (const network of bridges) await this.#driverOf(network).createNetwork(network);
    });
    leases.restore(endpoints.flatMap(leaseOf));
    await publisher.adopt(ports, logger);
    this.#sweepSandboxes();
  }

  list(): readonly NetworkView[] {
    return this.#parts.registry.list().map((record) => this.#viewOf(record));
  }

  get(ref: string): NetworkView {
    return this.#viewOf(this.#parts.registry.get(ref));
  }

  async remove(ref: string): Promise<void> {
    const { name } = this.get(ref);
    if (isPredefined(name)) throw new ForbiddenError(`${name} is a pre-defined network and cannot be removed`);
    throw new NotImplementedError('removing networks is not supported by this version of moored');
  }

  validate(request: Omit<SandboxRequest, 'containerId'>): void {
    checkRequest(request);
  }

  async setUp(request: SandboxRequest): Promise<SandboxState> {
    checkRequest(request);
    const { containerId, mode } = request;
    if (mode.kind === 'container') return { netnsPath: null, endpoints: [] };
    const networks = this.#networksOf(request);
    const state = await Undo.guard(async (undo) => {
      using sandbox = mode.kind === 'host' ? null : this.#makeSandbox(request, undo);
      const endpoints: EndpointState[] = [];
      for (const [index, network] of networks.entries()) {
        endpoints.push(await this.#join(request, network, index, sandbox, undo));
      }
      if (sandbox !== null) this.#writeSysctls(sandbox, request.sysctls);
      return { netnsPath: sandbox?.netnsPath ?? null, endpoints };
    });
    this.#live.set(containerId, state);
    this.#tell('connect', containerId, state.endpoints);
    return state;
  }

  async tearDown(containerId: ContainerId, sandbox: SandboxState): Promise<void> {
    const { kernel, leases, publisher } = this.#parts;
    // Of a container that ended while the daemon was away only the namespace is left: what it had of addresses and ports
    // was not restored, and may be another container's by now.
    const endpoints = this.#live.get(containerId)?.endpoints ?? [];
    this.#live.delete(containerId);
    // Last deferred, first done: ports lead nowhere before their address may be another container's.
    const undo = new Undo();
    undo.defer(() => {
      if (sandbox.netnsPath !== null) kernel.namespaces.removeNetns(sandbox.netnsPath);
    });
    for (const endpoint of endpoints) {
      undo.defer(() => {
        if (endpoint.ipv4Address !== null) leases.release(endpoint.networkId, endpoint.ipv4Address);
      });
      undo.defer(() => publisher.unpublish(this.#bridgeNameOf(endpoint), endpoint.publishedPorts));
    }
    const failures = await undo.rollBack();
    this.#tell('disconnect', containerId, endpoints);
    if (failures.length > 0) throw failures[0];
  }

  async reassert(): Promise<void> {
    const { registry, firewall } = this.#parts;
    this.#allowForwarding();
    await firewall.reassert();
    for (const network of registry.list()) await this.#driverOf(network).createNetwork(network);
  }

  async shutDown(): Promise<void> {
    const { registry, firewall, publisher, route } = this.#parts;
    this.#live.clear();
    await publisher.releaseAll();
    for (const network of registry.list()) await this.#driverOf(network).removeNetwork(network);
    await firewall.tearDown();
    this.#sweepSandboxes();
    route[Symbol.dispose]();
  }

  /** Brings `host`, `none` and the default bridge into the registry as the daemon's flags want them. */
  async #predefine(endpoints: readonly EndpointState[]): Promise<void> {
    const { registry, clock, route, resolvConfPath, logger } = this.#parts;
    for (const name of ['host', 'none'] as const) registry.save(plainNetwork(name, registry.byName(name), clock));
    const wish = this.#parts.defaultBridge;
    const stored = registry.byName(DEFAULT_NETWORK_NAME);
    if (stored !== null && endpoints.some(({ networkId }) => networkId === stored.id)) {
      logger.info(
        'containers are running on the default bridge: it keeps its settings until an engine start without them',
      );
      return;
    }
    if (stored !== null && bridgeSettings(stored).bridgeName !== wish?.bridgeName) {
      await this.#driverOf(stored).removeNetwork(stored);
      registry.remove(stored.id);
    }
    if (wish === null) return;
    const kept = registry.byName(DEFAULT_NETWORK_NAME);
    const owned = kept !== null && registry.owns(kept);
    const host = { route: route.get(), resolvConf: readOrEmpty(resolvConfPath) };
    const record = defaultBridge(wish, kept, owned, host, clock);
    this.#driverOf(record).validate(record);
    registry.save(record);
  }

  #allowForwarding(): void {
    const { ipForward, sysctls, logger } = this.#parts;
    if (sysctls.read('net/ipv4/ip_forward') === '1') return;
    if (ipForward) sysctls.write('net/ipv4/ip_forward', '1');
    else logger.warn('IPv4 forwarding is disabled: containers cannot reach other hosts, nor be reached from them');
  }

  #networksOf({ mode, endpoints }: SandboxRequest): readonly NetworkRecord[] {
    const { registry } = this.#parts;
    switch (mode.kind) {
      case 'host':
      case 'none':
        return [registry.get(mode.kind)];
      case 'container':
        return [];
      case 'network': {
        // As dockerd does under `--bridge none`: the container starts with nothing but its loopback link.
        if (mode.name === DEFAULT_NETWORK_NAME && this.#parts.defaultBridge === null) return [];
        const records = [mode.name, ...Object.keys(endpoints).sort()].map((ref) => registry.get(ref));
        for (const { name, driver } of records) if (!isPluggable(driver)) throw networkNotFound(name);
        return [...new Set(records)];
      }
    }
  }

  #makeSandbox({ containerId }: SandboxRequest, undo: Undo): OpenSandbox {
    const { kernel, sysctls, netnsDirectory } = this.#parts;
    const netnsPath = join(netnsDirectory, shortId(containerId));
    const sandbox = createSandbox(kernel, sysctls, netnsPath);
    undo.defer(() => kernel.namespaces.removeNetns(netnsPath));
    return sandbox;
  }

  async #join(
    request: SandboxRequest,
    network: NetworkRecord,
    index: number,
    sandbox: Sandbox | null,
    undo: Undo,
  ): Promise<EndpointState> {
    const { leases } = this.#parts;
    const endpointId = newId<EndpointId>();
    const base = { endpointId, networkId: network.id, networkName: network.name, containerId: request.containerId };
    const pool = network.pools[0];
    if (sandbox === null || pool === undefined) return { ...base, ...NOTHING };
    const wish = request.endpoints[network.name] ?? request.endpoints[network.id] ?? null;
    const ipv4Address = leases.lease(network, request.containerId, wish?.ipv4Address ?? null);
    undo.defer(() => leases.release(network.id, ipv4Address));
    const wishedMac = wish?.macAddress ?? (index === 0 ? request.macAddress : null);
    const endpoint: EndpointState = {
      ...base,
      ...NOTHING,
      interfaceName: `eth${String(index)}`,
      ipv4Address,
      ipv4PrefixLength: parseCidr(pool.subnet)?.subnet.prefixLength ?? 0,
      ipv4Gateway: network.internal ? null : defaultGatewayOf(pool),
      macAddress: (wishedMac === null ? null : parseMac(wishedMac)) ?? macAddressOf(ipv4Address),
    };
    const defaultRoute = index === 0 && !network.internal;
    await this.#driverOf(network).connect({ ...endpoint, network, defaultRoute }, sandbox);
    // No need to take the veth pair back: it goes with the namespace.
    if (index > 0) return endpoint;
    return { ...endpoint, publishedPorts: await this.#publish(request, network, endpoint, ipv4Address, undo) };
  }

  async #publish(
    request: SandboxRequest,
    network: NetworkRecord,
    endpoint: EndpointState,
    ipv4Address: string,
    undo: Undo,
  ): Promise<EndpointState['publishedPorts']> {
    const { publisher, firewall, logger } = this.#parts;
    const bindings = allBindings(request.portBindings, request.publishAll);
    if (bindings.length === 0) return [];
    if (!firewall.active) {
      logger.warn('ports are published, but the engine must not touch the packet filter (--iptables=false)', {
        containerId: request.containerId,
      });
    }
    const { bridgeName, hostBinding } = bridgeSettings(network);
    try {
      const ports = await publisher.publish({ bridgeName, ipv4Address, hostBinding }, bindings);
      undo.defer(() => publisher.unpublish(bridgeName, ports));
      return ports;
    } catch (error) {
      const name = request.containerName ?? request.containerId;
      throw programmingFailed(name, endpoint.endpointId, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #writeSysctls(sandbox: Sandbox, values: Readonly<Record<string, string>>): void {
    const entries = Object.entries(values);
    if (entries.length === 0) return;
    this.#parts.kernel.namespaces.within(sandbox.netns, () => {
      for (const [key, value] of entries) this.#parts.sysctls.write(key, value);
    });
  }

  /** Removes namespace files that belong to no running container: left by a crash, or by a set-up that could not undo. */
  #sweepSandboxes(): void {
    const { kernel, netnsDirectory, logger } = this.#parts;
    const kept = new Set([...this.#live.values()].map(({ netnsPath }) => netnsPath));
    // An engine torn down before it ever ran has no such folder, and nothing to sweep.
    if (!existsSync(netnsDirectory)) return;
    for (const name of readdirSync(netnsDirectory)) {
      const path = join(netnsDirectory, name);
      if (!SANDBOX_FILE.test(name) || kept.has(path)) continue;
      logger.debug('removing a network namespace that no container uses', { path });
      kernel.namespaces.removeNetns(path);
    }
  }

  #tell(action: 'connect' | 'disconnect', containerId: ContainerId, endpoints: readonly EndpointState[]): void {
    for (const { networkId, networkName } of endpoints) {
      const driver = this.#parts.registry.list().find(({ id }) => id === networkId)?.driver ?? networkName;
      this.#parts.events.publish({
        type: 'network',
        action,
        actorId: networkId,
        attributes: { container: containerId, name: networkName, type: driver },
      });
    }
  }

  #viewOf(record: NetworkRecord): NetworkView {
    return { ...record, endpoints: this.#liveEndpoints().filter(({ networkId }) => networkId === record.id) };
  }

  #liveEndpoints(): readonly EndpointState[] {
    return [...this.#live.values()].flatMap(({ endpoints }) => endpoints);
  }

  #bridgeNameOf({ networkId }: EndpointState): string {
    const network = this.#parts.registry.list().find(({ id }) => id === networkId);
    return network?.driver === 'bridge' ? bridgeSettings(network).bridgeName : '';
  }

  #driverOf({ driver }: NetworkRecord): NetworkDriver {
    const found = this.#parts.drivers.get(driver);
    if (found === undefined) throw new InternalError(`network driver ${driver} is not known`);
    return found;
  }
}

/** An endpoint without link or address, as on `host` and `none`. */
const NOTHING = {
  interfaceName: '',
  ipv4Address: null,
  ipv4PrefixLength: 0,
  ipv4Gateway: null,
  ipv6Address: null,
  ipv6PrefixLength: 0,
  ipv6Gateway: null,
  macAddress: '',
  publishedPorts: [],
} as const;

/** `host` and `none` are modes, never one network among others. */
function isPluggable(driver: string): boolean {
  return driver !== 'host' && driver !== 'null';
}

function leaseOf({ networkId, ipv4Address, containerId }: EndpointState) {
  return ipv4Address === null ? [] : [{ networkId, address: ipv4Address, containerId }];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
