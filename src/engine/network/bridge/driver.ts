import { ConflictError, InvalidArgumentError, NotImplementedError, UnavailableError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Link, RouteSocket } from '../../kernel/kernel.ts';
import type { EndpointRequest, FirewallDriver, FirewallNetwork, NetworkDriver, Sandbox } from '../driver.ts';
import { parseCidr } from '../ipv4.ts';
import { randomMacAddress, randomVethName } from '../naming.ts';
import { bridgeAddressOf, defaultGatewayOf } from '../pools.ts';
import type { Sysctls } from '../sysctl.ts';
import type { EndpointState, IpamPool, NetworkRecord } from '../types.ts';
import { bridgeSettings } from './settings.ts';
import type { BridgeSettings } from './settings.ts';

/** How often a name for a veth link is drawn anew when it is in use: with 2^28 names, twice is a wonder already. */
const NAME_ATTEMPTS = 4;

/** What the driver needs of its room. */
export interface BridgeDriverDependencies {
  /** rtnetlink in the daemon's own namespace. */
  readonly route: () => RouteSocket;
  readonly sysctls: Sysctls;
  readonly firewall: FirewallDriver;
  /** Whether this engine made the network's bridge. A bridge that was there before is used as it is and never deleted. */
  readonly ownership: {
    owns(network: NetworkRecord): boolean;
    claim(network: NetworkRecord): void;
  };
}

/** Containers on one Linux bridge, by veth pairs; NAT leads in and out. */
export class BridgeDriver implements NetworkDriver {
  readonly name = 'bridge';
  readonly #dependencies: BridgeDriverDependencies;

  constructor(dependencies: BridgeDriverDependencies) {
    this.#dependencies = dependencies;
  }

  validate(network: NetworkRecord): void {
    bridgeSettings(network);
    if (network.enableIpv6) throw new NotImplementedError('IPv6 on bridge networks is not supported by this engine');
    if (network.pools.length !== 1 || bridgeAddressOf(poolOf(network)) === null) {
      throw new InvalidArgumentError(`bridge network ${network.name} needs one IPv4 pool with a gateway`);
    }
  }

  async createNetwork(network: NetworkRecord): Promise<void> {
    this.validate(network);
    const settings = bridgeSettings(network);
    const link = this.#ensureLink(network, settings);
    this.#dependencies.route().changeLink(link.index, { up: true });
    if (!settings.interContainer) this.#filterBridgedPackets();
    await this.#dependencies.firewall.addNetwork(firewallNetworkOf(network));
    // Only behind the firewall's guard: on its own it would open the host's loopback services to containers.
    if (this.#dependencies.firewall.active) {
      this.#dependencies.sysctls.write(`net/ipv4/conf/${settings.bridgeName}/route_localnet`, '1');
    }
  }

  async removeNetwork(network: NetworkRecord): Promise<void> {
    const { bridgeName } = bridgeSettings(network);
    const { route, ownership, firewall } = this.#dependencies;
    const link = ownership.owns(network) ? route().linkByName(bridgeName) : null;
    if (link !== null) route().deleteLink(link.index);
    await firewall.removeNetwork(bridgeName);
  }

  async connect(request: EndpointRequest, sandbox: Sandbox): Promise<void> {
    await Undo.guard(async (undo) => {
      const settings = bridgeSettings(request.network);
      const veth = await this.#plug(request, settings, sandbox);
      undo.defer(() => this.#dependencies.route().deleteLink(veth.index));
      // A container reaches its own published port through the bridge: the frame leaves by the port it came in by.
      this.#dependencies.route().changeLink(veth.index, { hairpin: true });
      configureInside(request, sandbox.inside);
    });
  }

  async disconnect(endpoint: EndpointState, sandbox: Sandbox | null): Promise<void> {
    const link = sandbox?.inside.linkByName(endpoint.interfaceName) ?? null;
    if (link !== null) sandbox?.inside.deleteLink(link.index);
  }

  async #plug(request: EndpointRequest, settings: BridgeSettings, sandbox: Sandbox): Promise<Link> {
    const route = this.#dependencies.route();
    let bridge = route.linkByName(settings.bridgeName);
    if (bridge === null) {
      // Somebody deleted it under us.
      await this.createNetwork(request.network);
      bridge = this.#ensureLink(request.network, settings);
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return route.createVethPair({
          name: randomVethName(),
          masterIndex: bridge.index,
          mtu: settings.mtu,
          peerName: request.interfaceName,
          peerNetns: sandbox.netns,
          peerMacAddress: request.macAddress,
        });
      } catch (error) {
        if (!(error instanceof KernelError) || error.code !== 'EEXIST' || attempt === NAME_ATTEMPTS) throw error;
      }
    }
  }

  /** Finds or makes the bridge with the network's own address on it. */
  #ensureLink(network: NetworkRecord, settings: BridgeSettings): Link {
    const route = this.#dependencies.route();
    const { ownership } = this.#dependencies;
    const address = bridgeAddressOf(poolOf(network));
    let link = route.linkByName(settings.bridgeName);
    const present = link === null ? [] : ipv4AddressesOf(route, link);
    if (link !== null && address !== null && present.length > 0 && !present.includes(address)) {
      const inUse = route.links().some(({ masterIndex }) => masterIndex === link?.index);
      if (!ownership.owns(network) || inUse) {
        throw new ConflictError(
          `bridge IPv4 (${present.join(', ')}) does not match requested configuration ${address}`,
        );
      }
      route.deleteLink(link.index);
      present.length = 0;
      link = null;
    }
    if (link === null) {
      // Claimed first: a crash in between leaves a claim without a bridge, which is harmless, never the reverse.
      ownership.claim(network);
      link = route.createBridge(settings.bridgeName, { mtu: settings.mtu, macAddress: randomMacAddress() });
    } else if (link.mtu !== settings.mtu && ownership.owns(network)) {
      route.changeLink(link.index, { mtu: settings.mtu });
    }
    if (address !== null && present.length === 0) route.addAddress(link.index, address);
    return link;
  }

  /** Without inter-container communication the filter must see frames that never leave the bridge. */
  #filterBridgedPackets(): void {
    const { sysctls, firewall } = this.#dependencies;
    if (!firewall.active) return;
    try {
      sysctls.write('net/bridge/bridge-nf-call-iptables', '1');
    } catch (error) {
      throw new UnavailableError(
        'cannot restrict inter-container communication: the kernel module br_netfilter is not loaded',
        { cause: error },
      );
    }
  }
}

/** What the firewall has to know of a bridge network. */
export function firewallNetworkOf(network: NetworkRecord): FirewallNetwork {
  const settings = bridgeSettings(network);
  return {
    bridgeName: settings.bridgeName,
    ipv4Subnet: poolOf(network).subnet,
    ipv6Subnet: null,
    masquerade: settings.masquerade && !network.internal,
    interContainer: settings.interContainer,
    internal: network.internal,
  };
}

function configureInside(request: EndpointRequest, inside: RouteSocket): void {
  const pool = poolOf(request.network);
  const link = inside.linkByName(request.interfaceName);
  if (link === null) throw new KernelError('linkByName', 'ENODEV', request.interfaceName);
  if (request.ipv4Address !== null) {
    inside.addAddress(link.index, `${request.ipv4Address}/${pool.subnet.slice(pool.subnet.indexOf('/') + 1)}`);
  }
  inside.changeLink(link.index, { up: true });
  const gateway = defaultGatewayOf(pool);
  if (request.defaultRoute && gateway !== null) {
    inside.addRoute({ destination: '0.0.0.0/0', gateway, linkIndex: link.index });
  }
}

function ipv4AddressesOf(route: RouteSocket, link: Link): string[] {
  return route
    .addresses(link.index)
    .map(({ cidr }) => cidr)
    .filter((cidr) => parseCidr(cidr) !== null);
}

function poolOf(network: NetworkRecord): IpamPool {
  const pool = network.pools[0];
  if (pool === undefined) throw new InvalidArgumentError(`bridge network ${network.name} has no address pool`);
  return pool;
}
