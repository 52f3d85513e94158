import type { Logger } from '../../../base/logger.ts';
import { errnoCodeOf, messageOf } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { InternetCalls } from '../../kernel/internet.ts';
import type { FirewallDriver } from '../driver.ts';
import { isForFilter } from '../ports.ts';
import type { PortPublisher, PublishTarget, UserlandProxy } from '../ports.ts';
import type { Sysctls } from '../sysctl.ts';
import type { PortBinding, PortProtocol, PublishedPort } from '../types.ts';
import { ClaimBook, regrouped } from './claims.ts';
import type { Claim, ClaimOptions } from './claims.ts';
import { portGroups } from './groups.ts';
import type { PortGroup } from './groups.ts';
import { listenFailed, sctpUnproxied } from './messages.ts';
import type { PortProxy } from './proxy.ts';
import { inTurns } from './turns.ts';

/** Nobody is ever accepted without the proxy: the packet filter keeps all packets from the socket. */
const UNSERVED_BACKLOG = 0;
/** Cut to net.core.somaxconn by the kernel. */
const SERVED_BACKLOG = 65_535;
const IPV6_LOOPBACK = '::1';

/** What the publisher works with. */
export interface PublisherParts {
  readonly internet: InternetCalls;
  readonly firewall: FirewallDriver;
  readonly sysctls: Sysctls;
  readonly logger: Logger;
  /** Null: as `never`. */
  readonly proxy: PortProxy | null;
  readonly userlandProxy: UserlandProxy;
}

/** Makes the publisher; nothing is touched before its first call. */
export function createPortPublisher(parts: PublisherParts): PortPublisher {
  return new SocketPublisher(parts);
}

class SocketPublisher implements PortPublisher {
  readonly #parts: PublisherParts;
  readonly #claims: ClaimBook;
  #hostHasIpv6: boolean | null = null;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#claims = new ClaimBook(parts.internet, parts.sysctls);
  }

  async publish(target: PublishTarget, bindings: readonly PortBinding[]): Promise<readonly PublishedPort[]> {
    if (bindings.length === 0) return [];
    const { firewall } = this.#parts;
    const groups = portGroups(target, bindings, { ipv6: this.#canListenOnIpv6(), proxy: this.#mayProxy });
    return await Undo.guard(async (undo) => {
      const claims: Claim[] = [];
      undo.defer(async () => this.#giveBack(this.#claims.withdraw(claims.flatMap((claim) => claim.ports))));
      this.#parts.internet.expect(groups.length);
      const optionsOf = this.#claimOptions(target);
      await inTurns(groups, (group) => void claims.push(this.#claim(group, optionsOf(group.container.protocol))));
      const ports = claims.flatMap((claim) => claim.ports);
      const filtered = this.#filtered(ports);
      if (filtered.length > 0) await firewall.publish(target.bridgeName, filtered);
      undo.defer(async () => firewall.unpublish(target.bridgeName, filtered));
      // Behind the firewall's rules: a connection must not come to a socket before them.
      await inTurns(claims, (claim) => this.#open(claim));
      this.#warnOfUnled(ports);
      return ports;
    });
  }

  async unpublish(bridgeName: string, ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length === 0) return;
    const failures: unknown[] = [];
    try {
      const filtered = this.#filtered(ports);
      if (filtered.length > 0) await this.#parts.firewall.unpublish(bridgeName, filtered);
    } catch (failure) {
      failures.push(failure);
    }
    await this.#giveBack(this.#claims.withdraw(ports));
    if (failures.length > 0) throw failures[0];
  }

  async adopt(ports: readonly PublishedPort[], logger: Logger): Promise<void> {
    await inTurns(regrouped(ports), (rows) => {
      try {
        this.#open(this.#claims.adopt(rows, (protocol) => this.#isServed(protocol)));
      } catch (error) {
        const { hostIp = '', hostPort = 0 } = rows[0] ?? {};
        logger.warn('a published port could not be reserved again; what leads to its container still does', {
          hostIp,
          hostPort,
          reason: messageOf(error),
        });
      }
    });
  }

  async releaseAll(): Promise<void> {
    await this.#giveBack(this.#claims.withdrawAll());
    await this.#parts.proxy?.stop();
  }

  /** The very same ones for all ports of a protocol: what is found out by them is found out once. */
  #claimOptions({ proxied: marked = false }: PublishTarget): (protocol: PortProtocol) => ClaimOptions {
    const known = new Map<PortProtocol, ClaimOptions>();
    return (protocol) => {
      let options = known.get(protocol);
      if (options === undefined) known.set(protocol, (options = { served: this.#isServed(protocol), marked }));
      return options;
    };
  }

  #claim(group: PortGroup, options: ClaimOptions): Claim {
    if (group.container.protocol === 'sctp' && this.#parts.userlandProxy === 'where-needed') {
      const unled = group.rows.find((row) => !row.routed && !this.#filterLeads(row));
      if (unled !== undefined) throw sctpUnproxied(group, unled);
    }
    return this.#claims.claim(group, options);
  }

  /** Lets the sockets of a claim listen, and the proxy serve its own. What fails leaves the claim to be given back. */
  #open({ protocol, containerPort, sockets }: Claim): void {
    const { internet, proxy } = this.#parts;
    for (const { fd, key, served, backend } of sockets) {
      try {
        if (protocol === 'tcp') internet.listen(fd, served ? SERVED_BACKLOG : UNSERVED_BACKLOG);
      } catch (error) {
        throw listenFailed(errnoCodeOf(error) ?? messageOf(error));
      }
      if (served && protocol !== 'sctp') {
        proxy?.serve({ key, fd, protocol, backendAddress: backend, backendPort: containerPort });
      }
    }
  }

  async #giveBack(claims: readonly Claim[]): Promise<void> {
    const sockets = claims.flatMap((claim) => claim.sockets);
    // The proxy may be at one of its sockets just now: it has to let go before the number can be another socket's.
    await this.#parts.proxy?.drop(sockets.filter(({ served }) => served));
    await inTurns(claims, (claim) => this.#claims.release(claim));
  }

  #filtered(ports: readonly PublishedPort[]): readonly PublishedPort[] {
    return ports.filter((port) => isForFilter(port) && port.proxied !== true);
  }

  get #mayProxy(): boolean {
    return this.#parts.proxy !== null && this.#parts.userlandProxy !== 'never';
  }

  /**
   * Whether the proxy takes up what comes to the sockets of a protocol. That is what the filter cannot lead, and whoever
   * calls at the moment when another program has flushed its rules: nobody would ever answer him.
   */
  #isServed(protocol: PortProtocol): boolean {
    return this.#mayProxy && protocol !== 'sctp';
  }

  #filterLeads(row: Pick<PublishedPort, 'hostIp' | 'endpointIpAddress'>): boolean {
    const { active, families } = this.#parts.firewall;
    const family = row.hostIp.includes(':') ? 'ipv6' : 'ipv4';
    return active && isForFilter(row) && (families === undefined || families.includes(family));
  }

  #warnOfUnled(ports: readonly PublishedPort[]): void {
    const unled = ports.filter((port) => !this.#filterLeads(port) && !this.#isServed(port.container.protocol));
    if (unled.length === 0) return;
    this.#parts.logger.warn(
      'ports are published that nothing leads to the container: the packet filter must not be touched, and --userland-proxy is false',
      { endpointIpAddress: unled[0]?.endpointIpAddress ?? '', ports: unled.length },
    );
  }

  /** As dockerd finds it out, once. */
  #canListenOnIpv6(): boolean {
    if (this.#hostHasIpv6 !== null) return this.#hostHasIpv6;
    const { internet } = this.#parts;
    try {
      internet.close([internet.bind({ protocol: 'tcp', address: IPV6_LOOPBACK, port: 0 })]);
      this.#hostHasIpv6 = true;
    } catch {
      this.#hostHasIpv6 = false;
    }
    return this.#hostHasIpv6;
  }
}
