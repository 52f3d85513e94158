/**
 * Network drivers and firewall drivers.
 *
 * Vocabulary: a *network* is what users name; a *sandbox* is one container's network namespace; an *endpoint* joins one
 * sandbox to one network; a *published port* leads from the host to an endpoint.
 *
 * Life cycle: validate → createNetwork → (connect → disconnect)… → removeNetwork. Everything is validated before
 * anything is set up; a failing set-up is undone in reverse before the error leaves.
 *
 * Story 1, `docker run -p 8080:80`: the containers room asks `Networks.prepare(container)`, which makes the sandbox and
 * leases an address; while the runtime makes the process there, `Networks.complete` lets the bridge driver plug a veth pair
 * in, and the firewall driver add one element to the DNAT map.
 * On any failure all of it is gone again and the error is Docker's.
 *
 * Story 2, the daemon comes back after a kill: `Networks.restore(...)` re-asserts bridge, rules and the leases of
 * running containers from state; nothing of a running container is touched.
 */
import type { EndpointId } from '../../base/ids.ts';
import type { Fd, RouteSocket } from '../kernel/kernel.ts';
import type { ContainerPort, EndpointState, NetworkRecord, PublishedPort } from './types.ts';

/** A container's network namespace. */
export interface Sandbox {
  readonly netnsPath: string;
  readonly netns: Fd;
  /** rtnetlink inside it; its owner closes it. */
  readonly inside: RouteSocket;
}

/** What to plug in where. */
export interface EndpointRequest {
  readonly endpointId: EndpointId;
  readonly network: NetworkRecord;
  /** `eth0` … */
  readonly interfaceName: string;
  readonly ipv4Address: string | null;
  readonly ipv6Address: string | null;
  readonly macAddress: string;
  /** True when this endpoint carries the default route. */
  readonly defaultRoute: boolean;
  /** The same for IPv6; absent: as `defaultRoute`. */
  readonly defaultRouteIpv6?: boolean;
  readonly linkLocalIps?: readonly string[];
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/**
 * How containers get out of a network, for one family. `gateway`: by an address that is reserved for it (of
 * macvlan, too, as dockerd has it: the lowest where the user names none); `link`: straight out of the link, without one
 * (ipvlan l3); `local`: an address is reserved (a bridge's own), and leads nowhere; `none`: no address either.
 */
export type WayOut = 'gateway' | 'link' | 'local' | 'none';

/** One way to connect containers. */
export interface NetworkDriver {
  readonly name: string;
  /** Throws InvalidArgumentError in Docker's words; touches nothing. `others` are all networks that are there already. */
  validate(network: NetworkRecord, others?: readonly NetworkRecord[]): void;
  /**
   * What the core has to reserve and to route; asked before `validate`, and without pools. Absent: `local` on internal
   * networks, else `gateway`.
   */
  wayOut?(network: Pick<NetworkRecord, 'id' | 'internal' | 'options'>, family: 'ipv4' | 'ipv6'): WayOut;
  /** Makes sure the network exists in the kernel; idempotent. `isFiltered`: the packet filter has just been told of it. */
  createNetwork(network: NetworkRecord, known?: { readonly isFiltered: boolean }): Promise<void>;
  /** Takes it away; idempotent. */
  removeNetwork(network: NetworkRecord): Promise<void>;
  /** Plugs a sandbox in; leaves nothing behind on failure. */
  connect(request: EndpointRequest, sandbox: Sandbox): Promise<void>;
  /** Unplugs, whatever the container calls its interface by now; idempotent. Not needed when the sandbox itself is dropped. */
  disconnect(endpoint: EndpointState, sandbox: Sandbox | null, network?: NetworkRecord): Promise<void>;
  /**
   * Joins an endpoint that is plugged in to the network's link anew, when that has been made again since; idempotent.
   * Absent: the network has no link of its own that could go.
   */
  replug?(network: NetworkRecord, endpoint: EndpointState, sandbox: Sandbox): Promise<void>;
}

/**
 * How packets come and go between a bridge network and the world, for one family: Docker's gateway modes.
 * `nat`: out by masquerade, in by published ports. `nat-unprotected`: also directly to any port. `routed`: no NAT, in only
 * to published ports. `isolated`: the host has no address on the bridge.
 */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';

/** Who may reach published ports: everybody, or only whom the host's own input policy lets in. */
export type PublishPolicy = 'open' | 'respect';

/** From one container to a port of another one on the same network, which keeps its containers apart. */
export interface FirewallLink extends ContainerPort {
  readonly from: string;
  readonly to: string;
}

/** What the firewall must do for one bridge network. */
export interface FirewallNetwork {
  readonly bridgeName: string;
  readonly ipv4Subnet: string | null;
  readonly ipv6Subnet: string | null;
  /** `enable_ip_masquerade`, for both families. */
  readonly masquerade: boolean;
  readonly interContainer: boolean;
  readonly internal: boolean;
  /** Absent: `nat`. */
  readonly ipv4Mode?: GatewayMode;
  /** Absent: `nat`. */
  readonly ipv6Mode?: GatewayMode;
  /** Source address of what leaves the host, in place of masquerade (`com.docker.network.host_ipv4`, `_ipv6`). */
  readonly ipv4Source?: string;
  readonly ipv6Source?: string;
  /** Absent: the engine's own (`--publish-policy`). */
  readonly publishPolicy?: PublishPolicy;
  /** Interfaces from which container addresses may be reached directly (`bridge.trusted_host_interfaces`). */
  readonly trustedInterfaces?: readonly string[];
  /** What is open all the same where `interContainer` is false. Absent: as {@link FirewallDriver.link} has said, if it has. */
  readonly links?: readonly FirewallLink[];
  /** firewalld's zone for the bridge; absent: `docker`. */
  readonly zone?: string;
}

/** All that a firewall is to hold. */
export interface FirewallState {
  readonly networks: readonly FirewallNetwork[];
  /** A port belongs to the network whose subnet its endpoint's address is in. */
  readonly ports: readonly PublishedPort[];
  /**
   * Families whose forwarding this engine itself has switched on (since the host's start): what other links forward to one
   * another is dropped, for the host was no router before. Absent: none.
   */
  readonly closeForwarding?: readonly ('ipv4' | 'ipv6')[];
}

/**
 * Link group of the bridge ports of networks whose containers are kept apart (`icc=false`): a firewall that says
 * `secludesPorts` drops what would go from one such port to another of the same bridge, whatever the protocol.
 */
export const SECLUDED_PORT_GROUP = 0x6d6f6f72;

/**
 * Packet filter and NAT. All calls are atomic and idempotent. Ports whose host address is of another family than their
 * endpoint's, and ports of a family that the driver may not touch, are passed over: no filter can lead them.
 */
export interface FirewallDriver {
  readonly name: string;
  /** False when it touches nothing, so that nothing may rely on its protection. */
  readonly active: boolean;
  /** The families it works on; absent: both, when active. */
  readonly families?: readonly ('ipv4' | 'ipv6')[];
  /** True: it keeps ports of {@link SECLUDED_PORT_GROUP} apart by itself. Absent: br_netfilter has to show it bridged frames. */
  readonly secludesPorts?: boolean;
  /** True: it lets the host's input policy decide by itself where `publishPolicy` says so. Absent: the proxy has to lead there. */
  readonly respectsInput?: boolean;
  /**
   * Puts exactly `state` in place of what an earlier run of this engine left, at one blow: published ports of containers
   * that still run have no gap. UnavailableError when the host has no such packet filter.
   */
  initialise(state: FirewallState): Promise<void>;
  addNetwork(network: FirewallNetwork): Promise<void>;
  removeNetwork(bridgeName: string): Promise<void>;
  /** These and no other links are open in a network of `interContainer: false`. Absent: nothing is kept apart. */
  link?(bridgeName: string, links: readonly FirewallLink[]): Promise<void>;
  publish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void>;
  unpublish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void>;
  /** Puts all that was given so far in place again, at one blow, whatever has become of it. */
  reassert(): Promise<void>;
  /** Changes {@link FirewallState.closeForwarding}; idempotent. */
  closeForwarding?(families: readonly ('ipv4' | 'ipv6')[]): Promise<void>;
  /** Takes everything of this engine away. */
  tearDown(): Promise<void>;
}
