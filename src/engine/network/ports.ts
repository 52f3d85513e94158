/**
 * Published ports: host ports that lead to containers.
 *
 * Vocabulary: a *binding* is a wish, `-p 8080:80`; a published port is one *row* of what became of it, one for each host
 * address. `-p 8080:80` without an address gives two rows, `0.0.0.0` and `::`, with the same host port, as Docker 28 has it.
 *
 * Who leads packets from a row to its container: the packet filter where it can; the engine's *userland proxy* where it
 * cannot (a host's IPv6 address and a container without one, `--iptables=false`), and for whom `--userland-proxy` says so.
 *
 * Every row's host port is taken from the host's other programs by a socket, whoever leads it. The proxy serves that
 * socket; the filter's packets never get to it.
 *
 * Story 1, `docker run -p 8080:80`: {@link PortPublisher.publish} chooses ports in our own book, binds the sockets, tells the
 * packet filter, lets the sockets listen, and hands those to the proxy that are its. On any failure all is given back.
 *
 * Story 2, the daemon comes back: the filter has led packets all the time; {@link PortPublisher.adopt} takes the sockets
 * again, and the proxy serves its own.
 */
import type { Logger } from '../../base/logger.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { GatewayMode } from './driver.ts';
import { isHostAddress } from './ports/host-address.ts';
import type { ContainerPort, PortBinding, PublishedPort } from './types.ts';

/** Where ports are to lead. */
export interface PublishTarget {
  readonly bridgeName: string;
  /** Null: IPv4 is not led here. */
  readonly ipv4Address: string | null;
  /** Null or absent: IPv6 is not led here. */
  readonly ipv6Address?: string | null;
  /** Host address for wishes that name none; `0.0.0.0` means all addresses, of both families. */
  readonly hostBinding: string;
  /** Absent: `nat`. `routed` has no host ports: the container's own are opened. */
  readonly ipv4Mode?: GatewayMode;
  /** Absent: `nat`. */
  readonly ipv6Mode?: GatewayMode;
  /** False where the container has IPv6 by another endpoint: what comes by IPv6 does not lead to IPv4 then. Absent: true. */
  readonly ipv6ToIpv4?: boolean;
  /** True: the proxy leads everything, so that the host's own input rules have their say. Absent: false. */
  readonly proxied?: boolean;
}

/** Publishes ports of containers. */
export interface PortPublisher {
  /**
   * Publishes all or none, in Docker's order. InternalError in Docker 28's words. A wish that cannot be led to the target
   * (an IPv6 address, without proxy, to a container without one) gives no row, as with Docker.
   */
  publish(target: PublishTarget, bindings: readonly PortBinding[]): Promise<readonly PublishedPort[]>;
  /** Takes ports back, and breaks off what the proxy has under way there; idempotent. */
  unpublish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void>;
  /** Takes hold of ports that an earlier run published and the firewall already leads to their containers. */
  adopt(ports: readonly PublishedPort[], logger: Logger): Promise<void>;
  /** Lets go of every reserved port, and ends the proxy; the firewall is not asked. */
  releaseAll(): Promise<void>;
}

/**
 * When the proxy leads. `always`: whatever comes to its sockets, beside the packet filter, as dockerd's does; this host's own
 * connections to 127.0.0.1 do. `where-needed`: those by the filter as well; to the sockets comes what the filter cannot lead,
 * and who calls while its rules are flushed. `never`: nothing.
 */
export type UserlandProxy = 'always' | 'where-needed' | 'never';

/** Whether a packet filter can lead this row: both sides are of one family. */
export function isForFilter({
  hostIp,
  endpointIpAddress,
}: Pick<PublishedPort, 'hostIp' | 'endpointIpAddress'>): boolean {
  return hostIp.includes(':') === endpointIpAddress.includes(':');
}

/** What `-p` and `-P` ask for together: `-P` adds only ports that `-p` does not mention. */
export function allBindings(
  bindings: readonly PortBinding[],
  publishAll: readonly ContainerPort[],
): readonly PortBinding[] {
  if (publishAll.length === 0) return bindings;
  const mentioned = new Set(bindings.map(({ container }) => portKey(container)));
  const extra = publishAll.filter((container) => !mentioned.has(portKey(container)));
  return [...bindings, ...extra.map((container) => ({ container, hostIp: '', hostPortStart: 0, hostPortEnd: 0 }))];
}

/** What can be judged of a wish without looking at the host. InvalidArgumentError. */
export function checkBinding({ container, hostIp, hostPortStart, hostPortEnd }: PortBinding): void {
  checkContainerPort(container.port);
  const isAny = hostPortStart === 0 && hostPortEnd === 0;
  if (!isAny && !(isPort(hostPortStart) && isPort(hostPortEnd) && hostPortStart <= hostPortEnd)) {
    throw new InvalidArgumentError(`invalid host port range: ${String(hostPortStart)}-${String(hostPortEnd)}`);
  }
  // Docker takes what is no address for none at all, and publishes to everybody what was meant for few.
  if (hostIp !== '' && !isHostAddress(hostIp)) throw new InvalidArgumentError(`invalid IP address: ${hostIp}`);
}

export function checkContainerPort(port: number): void {
  if (!isPort(port)) throw new InvalidArgumentError(`invalid container port: ${String(port)}`);
}

const PORT_MAX = 65_535;

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= PORT_MAX;
}

function portKey({ port, protocol }: ContainerPort): string {
  return `${String(port)}/${protocol}`;
}
