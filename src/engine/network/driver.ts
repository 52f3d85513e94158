/**
 * Network drivers and firewall drivers.
 *
 * Vocabulary: a *network* is what users name; a *sandbox* is one container's network namespace; an *endpoint* joins one
 * sandbox to one network; a *published port* leads from the host to an endpoint.
 *
 * Life cycle: validate → createNetwork → (connect → disconnect)… → removeNetwork. Everything is validated before
 * anything is set up; a failing set-up is undone in reverse before the error leaves.
 *
 * Story 1, `docker run -p 8080:80`: the containers room asks `Networks.setUp(container)`; it makes the sandbox, leases
 * an address, lets the bridge driver plug a veth pair in, and the firewall driver adds one element to the DNAT map.
 * On any failure all of it is gone again and the error is Docker's.
 *
 * Story 2, the daemon comes back after a kill: `Networks.restore(...)` re-asserts bridge, rules and the leases of
 * running containers from state; nothing of a running container is touched.
 */
import type { EndpointId } from '../../base/ids.ts';
import type { Fd, RouteSocket } from '../kernel/kernel.ts';
import type { EndpointState, NetworkRecord, PublishedPort } from './types.ts';

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
}

/** One way to connect containers. */
export interface NetworkDriver {
  readonly name: string;
  /** Throws InvalidArgumentError in Docker's words; touches nothing. */
  validate(network: NetworkRecord): void;
  /** Makes sure the network exists in the kernel; idempotent. */
  createNetwork(network: NetworkRecord): Promise<void>;
  /** Takes it away; idempotent. */
  removeNetwork(network: NetworkRecord): Promise<void>;
  /** Plugs a sandbox in; leaves nothing behind on failure. */
  connect(request: EndpointRequest, sandbox: Sandbox): Promise<void>;
  /** Unplugs; idempotent. Not needed when the sandbox itself is dropped. */
  disconnect(endpoint: EndpointState, sandbox: Sandbox | null): Promise<void>;
}

/** What the firewall must do for one bridge network. */
export interface FirewallNetwork {
  readonly bridgeName: string;
  readonly ipv4Subnet: string | null;
  readonly ipv6Subnet: string | null;
  readonly masquerade: boolean;
  readonly interContainer: boolean;
  readonly internal: boolean;
}

/** All that a firewall is to hold. */
export interface FirewallState {
  readonly networks: readonly FirewallNetwork[];
  readonly ports: readonly PublishedPort[];
}

/** Packet filter and NAT. All calls are atomic and idempotent. */
export interface FirewallDriver {
  readonly name: string;
  /** False when it touches nothing, so that nothing may rely on its protection. */
  readonly active: boolean;
  /**
   * Puts exactly `state` in place of what an earlier run of this engine left, at one blow: published ports of containers
   * that still run have no gap. UnavailableError when the host has no such packet filter.
   */
  initialise(state: FirewallState): Promise<void>;
  addNetwork(network: FirewallNetwork): Promise<void>;
  removeNetwork(bridgeName: string): Promise<void>;
  publish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void>;
  unpublish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void>;
  /** Puts all that was given so far in place again, at one blow, whatever has become of it. */
  reassert(): Promise<void>;
  /** Takes everything of this engine away. */
  tearDown(): Promise<void>;
}
