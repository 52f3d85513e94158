import type { Logger } from '../../base/logger.ts';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';
import { Undo } from '../../base/undo.ts';
import type { FirewallDriver } from './driver.ts';
import { listenFailed } from './messages.ts';
import { PortAllocator } from './port-allocator.ts';
import type { HostPortWish } from './port-allocator.ts';
import type { PortReservation, ReservePort } from './port-reservation.ts';
import type { ContainerPort, PortBinding, PublishedPort } from './types.ts';

/** How many ports that other processes have are passed over for one published port. */
const RESERVE_ATTEMPTS = 100;

/** Where ports are to lead. */
export interface PublishTarget {
  readonly bridgeName: string;
  readonly ipv4Address: string;
  /** Host address for wishes that name none. */
  readonly hostBinding: string;
}

/** Published ports: chosen, reserved against other processes, led to the container by the firewall. */
export class PortPublisher {
  readonly #allocator = new PortAllocator();
  readonly #reservations = new Map<string, PortReservation>();
  readonly #firewall: FirewallDriver;
  readonly #reserve: ReservePort;

  constructor(firewall: FirewallDriver, reserve: ReservePort) {
    this.#firewall = firewall;
    this.#reserve = reserve;
  }

  /** Publishes all or none. InternalError in dockerd's words. */
  async publish(target: PublishTarget, bindings: readonly PortBinding[]): Promise<readonly PublishedPort[]> {
    return await Undo.guard(async (undo) => {
      const ports: PublishedPort[] = [];
      for (const binding of bindings) {
        const port = await this.#claim(target, binding);
        undo.defer(() => this.#release(port));
        ports.push(port);
      }
      await this.#firewall.publish(target.bridgeName, ports);
      return ports;
    });
  }

  /** Takes ports back; idempotent. */
  async unpublish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length === 0) return;
    const failures: unknown[] = [];
    try {
      await this.#firewall.unpublish(bridgeName, ports);
    } catch (failure) {
      failures.push(failure);
    }
    for (const port of ports) await this.#release(port);
    if (failures.length > 0) throw failures[0];
  }

  /** Takes hold of ports that an earlier run published and the firewall already leads to their containers. */
  async adopt(ports: readonly PublishedPort[], logger: Logger): Promise<void> {
    for (const port of ports) {
      try {
        const { protocol } = port.container;
        this.#allocator.take({ protocol, hostIp: port.hostIp, first: port.hostPort, last: port.hostPort });
        this.#reservations.set(keyOf(port), await this.#reserve(protocol, port.hostIp, port.hostPort));
      } catch (error) {
        logger.warn('a published port could not be reserved again; it still leads to its container', {
          hostIp: port.hostIp,
          hostPort: port.hostPort,
          reason: messageOf(error),
        });
      }
    }
  }

  /** Lets go of every reserved port; the firewall is not asked. */
  async releaseAll(): Promise<void> {
    const held = [...this.#reservations.values()];
    this.#reservations.clear();
    for (const reservation of held) await reservation.release();
  }

  async #claim(
    target: PublishTarget,
    { container, hostIp, hostPortStart, hostPortEnd }: PortBinding,
  ): Promise<PublishedPort> {
    const { protocol } = container;
    const wish: HostPortWish = {
      protocol,
      hostIp: hostIp === '' ? target.hostBinding : hostIp,
      first: hostPortStart,
      last: hostPortEnd,
    };
    const refused = new Set<number>();
    for (;;) {
      const hostPort = this.#allocator.take(wish, refused);
      const port: PublishedPort = { container, hostIp: wish.hostIp, hostPort, endpointIpAddress: target.ipv4Address };
      try {
        this.#reservations.set(keyOf(port), await this.#reserve(protocol, wish.hostIp, hostPort));
        return port;
      } catch (error) {
        this.#allocator.release(protocol, wish.hostIp, hostPort);
        refused.add(hostPort);
        const code = errnoCodeOf(error) ?? messageOf(error);
        const maySeek = code === 'EADDRINUSE' && (wish.first === 0 || wish.first + refused.size <= wish.last);
        if (!maySeek || refused.size >= RESERVE_ATTEMPTS) throw listenFailed(protocol, wish.hostIp, hostPort, code);
      }
    }
  }

  async #release(port: PublishedPort): Promise<void> {
    const reservation = this.#reservations.get(keyOf(port));
    this.#reservations.delete(keyOf(port));
    await reservation?.release();
    this.#allocator.release(port.container.protocol, port.hostIp, port.hostPort);
  }
}

/** What `-p` and `-P` ask for together: `-P` adds only ports that `-p` does not mention. */
export function allBindings(
  bindings: readonly PortBinding[],
  publishAll: readonly ContainerPort[],
): readonly PortBinding[] {
  const mentioned = new Set(bindings.map(({ container }) => portKey(container)));
  const extra = publishAll.filter((container) => !mentioned.has(portKey(container)));
  return [...bindings, ...extra.map((container) => ({ container, hostIp: '', hostPortStart: 0, hostPortEnd: 0 }))];
}

function portKey({ port, protocol }: ContainerPort): string {
  return `${String(port)}/${protocol}`;
}

function keyOf({ container, hostIp, hostPort }: PublishedPort): string {
  return `${container.protocol} ${hostIp} ${String(hostPort)}`;
}
