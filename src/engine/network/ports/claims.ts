import type { InternetCalls } from '../../kernel/internet.ts';
import type { Fd } from '../../kernel/kernel.ts';
import type { Sysctls } from '../sysctl.ts';
import type { PortProtocol, PublishedPort } from '../types.ts';
import { PortAllocator, randomPorts } from './allocator.ts';
import type { PortGroup, RowWish } from './groups.ts';
import { ANY_IPV4, ANY_IPV6 } from './host-address.ts';
import { bindAll, BindFailure, planRows } from './reservation.ts';
import type { RowPlan } from './reservation.ts';

/** How many ports that other processes have are passed over for one published port. */
const BIND_ATTEMPTS = 100;

/** A host port that is ours: its rows, and the sockets that keep it. */
export interface Claim {
  readonly protocol: PortProtocol;
  /** 0: the host has no port for it (routed). */
  readonly hostPort: number;
  readonly containerPort: number;
  readonly ports: readonly PublishedPort[];
  readonly sockets: readonly ClaimedSocket[];
}

export interface ClaimedSocket {
  readonly fd: Fd;
  /** Its number for the proxy; never given twice. */
  readonly key: number;
  /** By the proxy. */
  readonly served: boolean;
  /** Where the proxy leads it. */
  readonly backend: string;
}

/** How a group is claimed. */
export interface ClaimOptions {
  /** The proxy takes up what comes to its sockets. */
  readonly served: boolean;
  /** Its rows say that the proxy leads them whatever the packet filter could do. */
  readonly marked: boolean;
}

/** What rows come to, found out once for all groups that have the very same ones. */
interface KnownPlan extends RowPlan {
  readonly rows: readonly RowWish[];
  readonly options: ClaimOptions;
}

interface HeldClaim extends Claim {
  /** How many of its rows are in use. */
  rowsLeft: number;
}

/** All claims, by their rows. */
export class ClaimBook {
  readonly #internet: InternetCalls;
  readonly #sysctls: Sysctls;
  #allocator: PortAllocator | null = null;
  /** By protocol and host address, then by host port: no text for each of thousands of rows. */
  readonly #claims = new Map<string, Map<number, HeldClaim>>();
  #lastPlan: KnownPlan | null = null;
  #lastKey = 0;

  constructor(internet: InternetCalls, sysctls: Sysctls) {
    this.#internet = internet;
    this.#sysctls = sysctls;
  }

  /**
   * Takes a host port for a group; where it may choose, one that no process has. InternalError in Docker's words, and then
   * nothing is taken.
   */
  claim(group: PortGroup, options: ClaimOptions): Claim {
    const plan = this.#planFor(group.rows, options);
    if (plan.hostIps.length === 0) return this.#note(group, 0, [], plan);
    const hostPort = this.#take(group, plan.hostIps, null);
    const outcome = this.#bind(group, hostPort, plan);
    return outcome instanceof BindFailure
      ? this.#claimAnother(group, plan, hostPort, outcome)
      : this.#note(group, hostPort, outcome, plan);
  }

  /** Takes what an earlier run had, rows of one host port. */
  adopt(ports: readonly PublishedPort[], isServed: (protocol: PortProtocol) => boolean): Claim {
    const [first] = ports;
    if (first === undefined) throw new RangeError('a claim has one row at least');
    const { container, hostPort, proxied = false } = first;
    const rows = ports.map((port) => ({ ...port, routed: hostPort === 0 }));
    const group = { container, first: hostPort, last: hostPort, rows };
    return this.claim(group, { served: isServed(container.protocol), marked: proxied });
  }

  /** Takes rows out of use; what comes back are the claims that have none left, to be given back. Idempotent. */
  withdraw(ports: readonly PublishedPort[]): readonly Claim[] {
    const done: Claim[] = [];
    for (const { container, hostIp, hostPort } of ports) {
      const own = this.#claimsAt(container.protocol, hostIp);
      const claim = own.get(hostPort);
      if (claim === undefined) continue;
      own.delete(hostPort);
      claim.rowsLeft -= 1;
      if (claim.rowsLeft === 0) done.push(claim);
    }
    return done;
  }

  withdrawAll(): readonly Claim[] {
    const claims = new Set([...this.#claims.values()].flatMap((own) => [...own.values()]));
    return this.withdraw([...claims].flatMap(({ ports }) => ports));
  }

  /** Closes its sockets and gives its port back. */
  release({ protocol, hostPort, ports, sockets }: Claim): void {
    this.#internet.close(sockets.map(({ fd }) => fd));
    if (hostPort === 0) return;
    for (const port of ports) if (port.hostPort !== 0) this.#ports.release(protocol, [port.hostIp], hostPort);
  }

  get #ports(): PortAllocator {
    return (this.#allocator ??= new PortAllocator(randomPorts(this.#sysctls)));
  }

  /** With all else taken, what the kernel said of the last one tells more than that the range is used up. */
  #take({ container, first, last }: PortGroup, hostIps: readonly string[], refusal: BindFailure | null): number {
    try {
      return this.#ports.take({ protocol: container.protocol, hostIps, first, last });
    } catch (error) {
      throw refusal?.cause ?? error;
    }
  }

  /** Another process has the port that was chosen. */
  #claimAnother(group: PortGroup, plan: KnownPlan, refused: number, failure: BindFailure): Claim {
    const mayChoose = group.first === 0 || group.first !== group.last;
    // Kept in the book until we are through: it would be a short range's next choice again.
    const passedOver = [refused];
    let refusal = failure;
    try {
      while (mayChoose && refusal.mayRetry && passedOver.length < BIND_ATTEMPTS) {
        const hostPort = this.#take(group, plan.hostIps, refusal);
        const outcome = this.#bind(group, hostPort, plan);
        if (!(outcome instanceof BindFailure)) return this.#note(group, hostPort, outcome, plan);
        passedOver.push(hostPort);
        refusal = outcome;
      }
      throw refusal.cause;
    } finally {
      for (const port of passedOver) this.#ports.release(group.container.protocol, plan.hostIps, port);
    }
  }

  #planFor(rows: readonly RowWish[], options: ClaimOptions): KnownPlan {
    if (this.#lastPlan?.rows === rows && this.#lastPlan.options === options) return this.#lastPlan;
    return (this.#lastPlan = { ...planRows(rows, options.served), rows, options });
  }

  #bind(group: PortGroup, hostPort: number, plan: RowPlan): readonly Fd[] | BindFailure {
    try {
      return bindAll(this.#internet, group, hostPort, plan.sockets);
    } catch (error) {
      if (error instanceof BindFailure) return error;
      this.#ports.release(group.container.protocol, plan.hostIps, hostPort);
      throw error;
    }
  }

  #note({ container, rows }: PortGroup, hostPort: number, fds: readonly Fd[], plan: KnownPlan): Claim {
    const { protocol, port: containerPort } = container;
    const { marked, served } = plan.options;
    const ports = rows.map(({ hostIp, endpointIpAddress, routed }): PublishedPort => {
      const port = { container, hostIp, hostPort: routed ? 0 : hostPort, endpointIpAddress };
      return marked ? { ...port, proxied: true } : port;
    });
    const sockets = fds.map((fd, index): ClaimedSocket => {
      this.#lastKey += 1;
      return { fd, key: this.#lastKey, served, backend: plan.sockets[index]?.backend ?? '' };
    });
    const claim = { protocol, hostPort, containerPort, ports, sockets, rowsLeft: plan.hostIps.length };
    for (const hostIp of plan.hostIps) this.#claimsAt(protocol, hostIp).set(hostPort, claim);
    return claim;
  }

  #claimsAt(protocol: PortProtocol, hostIp: string): Map<number, HeldClaim> {
    const place = `${protocol} ${hostIp}`;
    let own = this.#claims.get(place);
    if (own === undefined) this.#claims.set(place, (own = new Map<number, HeldClaim>()));
    return own;
  }
}

/**
 * Rows of an earlier run, those together that are one host port: what follows each other for all addresses of both
 * families, as it was published.
 */
export function regrouped(ports: readonly PublishedPort[]): readonly (readonly PublishedPort[])[] {
  const groups: PublishedPort[][] = [];
  for (const port of ports) {
    const before = groups.at(-1);
    const [other] = before ?? [];
    if (before?.length === 1 && other !== undefined && isItsSecondFamily(port, other)) before.push(port);
    else if (port.hostPort !== 0) groups.push([port]);
  }
  return groups;
}

function isItsSecondFamily(port: PublishedPort, other: PublishedPort): boolean {
  return (
    other.hostIp === ANY_IPV4 &&
    port.hostIp === ANY_IPV6 &&
    port.hostPort === other.hostPort &&
    port.container.port === other.container.port &&
    port.container.protocol === other.container.protocol
  );
}
