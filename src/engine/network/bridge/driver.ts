import { UnavailableError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Link } from '../../kernel/kernel.ts';
import { SECLUDED_PORT_GROUP } from '../driver.ts';
import type { EndpointRequest, FirewallDriver, FirewallNetwork, NetworkDriver, Sandbox, WayOut } from '../driver.ts';
import { firewallZoneOf } from '../firewall-zone.ts';
import type { Forwarding } from '../forwarding.ts';
import { configureInterface } from '../interface/configure.ts';
import type { InterfaceTools } from '../interface/configure.ts';
import { poolsOf } from '../interface/pools.ts';
import { randomVethName } from '../naming.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';
import { checkBridge } from './check.ts';
import { ensureBridge } from './link.ts';
import type { BridgeTools } from './link.ts';
import { publishPolicyOf } from '../publish-policy.ts';
import { bridgeSettings } from './settings.ts';
import type { BridgeSettings } from './settings.ts';

/** How often a name for a veth link is drawn anew when it is in use: with 2^28 names, twice is a wonder already. */
const NAME_ATTEMPTS = 4;

/** What the driver needs of its room. */
export interface BridgeDriverDependencies extends BridgeTools, InterfaceTools {
  readonly firewall: FirewallDriver;
  readonly forwarding: Pick<Forwarding, 'allow' | 'toClose'>;
}

/** Containers on one Linux bridge, by veth pairs; NAT leads in and out. */
export class BridgeDriver implements NetworkDriver {
  readonly name = 'bridge';
  readonly #dependencies: BridgeDriverDependencies;

  constructor(dependencies: BridgeDriverDependencies) {
    this.#dependencies = dependencies;
  }

  validate(network: NetworkRecord, others: readonly NetworkRecord[] = []): void {
    checkBridge(network, others);
  }

  wayOut(network: Pick<NetworkRecord, 'id' | 'internal' | 'options'>, family: 'ipv4' | 'ipv6'): WayOut {
    const settings = bridgeSettings(network);
    if ((family === 'ipv4' ? settings.ipv4Mode : settings.ipv6Mode) === 'isolated') return 'none';
    if (!network.internal) return 'gateway';
    return family === 'ipv4' && settings.inhibitIpv4 ? 'none' : 'local';
  }

  async createNetwork(network: NetworkRecord, { isFiltered = false } = {}): Promise<void> {
    this.validate(network);
    const { route, firewall, forwarding, sysctls } = this.#dependencies;
    const settings = bridgeSettings(network);
    const link = ensureBridge(network, settings, this.#dependencies);
    if (!settings.interContainer) this.#filterBridgedPackets(network);
    if (network.enableIpv4 !== false) forwarding.allow('ipv4');
    if (network.enableIpv6) forwarding.allow('ipv6');
    await firewall.closeForwarding?.(forwarding.toClose());
    if (!isFiltered) await firewall.addNetwork(firewallNetworkOf(network));
    // Only behind the firewall's guard: on its own it would open the host's loopback services to containers.
    // That guard is of IPv4 networks alone; a container without an address of that family can forge one.
    if (firewall.active && network.enableIpv4 !== false) {
      sysctls.write(`net/ipv4/conf/${settings.bridgeName}/route_localnet`, '1');
    }
    route().changeLink(link.index, { up: true });
  }

  async removeNetwork(network: NetworkRecord): Promise<void> {
    const { bridgeName } = bridgeSettings(network);
    const { route, ownership, firewall } = this.#dependencies;
    const link = ownership.owns(network) ? route().linkByName(bridgeName) : null;
    if (link?.type === 'bridge') await route().retireLink(link.index);
    await firewall.removeNetwork(bridgeName);
  }

  async connect(request: EndpointRequest, sandbox: Sandbox): Promise<void> {
    await Undo.guard(async (undo) => {
      const veth = await this.#plug(request, bridgeSettings(request.network), sandbox);
      undo.defer(() => this.#dependencies.route().retireLink(veth.index));
      configureInterface(request, sandbox, this.#dependencies);
    });
  }

  async disconnect(endpoint: EndpointState, sandbox: Sandbox | null, network?: NetworkRecord): Promise<void> {
    if (sandbox === null) return;
    const { inside } = sandbox;
    const plugged = network === undefined ? [] : this.#pluggedInto(network, sandbox);
    const named = plugged.length > 0 ? null : inside.linkIndex(endpoint.interfaceName);
    for (const index of named === null ? plugged : [named]) await inside.retireLink(index);
  }

  /** By the bridge, not by name: a container with CAP_NET_ADMIN may have called its interface something else. */
  #pluggedInto(network: NetworkRecord, { inside }: Sandbox): readonly number[] {
    const route = this.#dependencies.route();
    const bridge = route.linkIndex(bridgeSettings(network).bridgeName);
    const ports = new Set(bridge === null ? [] : route.portsOf(bridge).map(({ index }) => index));
    return inside
      .links()
      .filter(({ type, parentIndex }) => type === 'veth' && ports.has(parentIndex ?? 0))
      .map(({ index }) => index);
  }

  async replug(network: NetworkRecord, endpoint: EndpointState, sandbox: Sandbox): Promise<void> {
    const route = this.#dependencies.route();
    const bridge = await this.#bridgeOf(network, bridgeSettings(network));
    const hostIndex = sandbox.inside.linkByName(endpoint.interfaceName)?.parentIndex ?? null;
    const port = route.links().find(({ index, type }) => index === hostIndex && type === 'veth');
    if (port === undefined || port.masterIndex === bridge) return;
    route.changeLink(port.index, { masterIndex: bridge, up: true });
    route.changeLink(port.index, { hairpin: true });
  }

  async #plug(request: EndpointRequest, settings: BridgeSettings, sandbox: Sandbox): Promise<Link> {
    const masterIndex = await this.#bridgeOf(request.network, settings);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return this.#dependencies.route().createVethPair({
          name: randomVethName(),
          masterIndex,
          mtu: settings.mtu,
          peerName: request.interfaceName,
          peerNetns: sandbox.netns,
          peerMacAddress: request.macAddress,
          // A container reaches its own published port through the bridge: the frame leaves by the port it came in by.
          hairpin: true,
          ...(settings.interContainer ? {} : { group: SECLUDED_PORT_GROUP }),
        });
      } catch (error) {
        if (!(error instanceof KernelError) || error.code !== 'EEXIST' || attempt === NAME_ATTEMPTS) throw error;
      }
    }
  }

  /** The bridge's index; it is made anew when somebody deleted it under us. */
  async #bridgeOf(network: NetworkRecord, { bridgeName }: BridgeSettings): Promise<number> {
    const route = this.#dependencies.route();
    const found = route.linkIndex(bridgeName);
    if (found !== null) return found;
    await this.createNetwork(network);
    const made = route.linkIndex(bridgeName);
    if (made === null) throw new KernelError('linkIndex', 'ENODEV', bridgeName);
    return made;
  }

  /** Without inter-container communication the filter must see frames that never leave the bridge. */
  #filterBridgedPackets({ enableIpv6 }: NetworkRecord): void {
    const { sysctls, firewall } = this.#dependencies;
    if (!firewall.active || firewall.secludesPorts === true) return;
    try {
      sysctls.write('net/bridge/bridge-nf-call-iptables', '1');
      if (enableIpv6) sysctls.write('net/bridge/bridge-nf-call-ip6tables', '1');
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
  const { ipv4Mode, ipv6Mode, ipv4Source, ipv6Source, trustedInterfaces } = settings;
  const zone = firewallZoneOf(network);
  const publishPolicy = publishPolicyOf(network);
  return {
    bridgeName: settings.bridgeName,
    ipv4Subnet: network.enableIpv4 === false ? null : (poolsOf(network, 'ipv4')[0]?.subnet ?? null),
    ipv6Subnet: network.enableIpv6 ? (poolsOf(network, 'ipv6')[0]?.subnet ?? null) : null,
    masquerade: settings.masquerade && !network.internal,
    interContainer: settings.interContainer,
    internal: network.internal,
    ...(ipv4Mode === 'nat' ? {} : { ipv4Mode }),
    ...(ipv6Mode === 'nat' ? {} : { ipv6Mode }),
    ...(ipv4Source === null ? {} : { ipv4Source }),
    ...(ipv6Source === null ? {} : { ipv6Source }),
    ...(trustedInterfaces.length === 0 ? {} : { trustedInterfaces }),
    ...(zone === null ? {} : { zone }),
    ...(publishPolicy === null ? {} : { publishPolicy }),
  };
}
