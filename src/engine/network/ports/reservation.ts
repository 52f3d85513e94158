/**
 * Reserved host ports: sockets of the daemon, bound so that no other process can take a port while a container has it, and
 * so that a port which another process has is refused with the kernel's own word.
 *
 * They go with the daemon; the next run binds them again. In between the packet filter goes on working.
 */
import type { InternetCalls } from '../../kernel/internet.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Fd } from '../../kernel/kernel.ts';
import type { PortGroup, RowWish } from './groups.ts';
import { ANY_IPV4, ANY_IPV6 } from './host-address.ts';
import { bindFailed, noDescriptors, noSocket } from './messages.ts';

/** One socket and the rows it stands for. */
export interface PlannedSocket {
  readonly rows: OneOrMore<RowWish>;
  /** What it is bound to: the last row's address. */
  readonly address: string;
  readonly bothFamilies: boolean;
  /** The proxy serves it. */
  readonly served: boolean;
  /** Where the proxy leads it. */
  readonly backend: string;
}

type OneOrMore<T> = readonly [T, ...T[]];

/** What rows of one host port need of the host. */
export interface RowPlan {
  /** Of the rows that have a host port at all. */
  readonly hostIps: readonly string[];
  readonly sockets: readonly PlannedSocket[];
}

/** Pure: thousands of ports with the same rows share one plan. */
export function planRows(rows: readonly RowWish[], served: boolean): RowPlan {
  const bound = rows.filter(({ routed }) => !routed);
  const sockets = socketsFor(bound, served).map((own): PlannedSocket => ({
    rows: own,
    address: own.at(-1)?.hostIp ?? '',
    bothFamilies: own.length > 1,
    served,
    backend: own[0].endpointIpAddress,
  }));
  return { hostIps: bound.map(({ hostIp }) => hostIp), sockets };
}

/** The kernel said no; `mayRetry` when another port may do. */
export class BindFailure extends Error {
  readonly mayRetry: boolean;

  constructor(cause: Error, mayRetry: boolean) {
    super(cause.message, { cause });
    this.mayRetry = mayRetry;
  }
}

/** Binds one port on all addresses of a group, or on none. BindFailure, its cause in Docker's words. */
export function bindAll(
  internet: InternetCalls,
  group: PortGroup,
  port: number,
  sockets: readonly PlannedSocket[],
): readonly Fd[] {
  const fds: Fd[] = [];
  try {
    for (const socket of sockets) fds.push(bindOne(internet, group, port, socket));
    return fds;
  } catch (error) {
    internet.close(fds);
    throw error;
  }
}

function bindOne(internet: InternetCalls, group: PortGroup, port: number, socket: PlannedSocket): Fd {
  const { rows, address, bothFamilies, served } = socket;
  const { protocol } = group.container;
  const destinations = served && protocol === 'udp';
  try {
    return internet.bind({ protocol, address, port, bothFamilies, destinations });
  } catch (error) {
    // Which of both families is taken is only told by one socket each.
    if (rows.length > 1) {
      for (const row of rows) {
        probe(internet, group, row, port, () =>
          internet.bind({ protocol, address: row.hostIp, port, bothFamilies: false, destinations }),
        );
      }
    }
    throw refused(internet, group, rows[0], port, error);
  }
}

function probe(internet: InternetCalls, group: PortGroup, row: RowWish, port: number, bind: () => Fd): void {
  try {
    internet.close([bind()]);
  } catch (error) {
    throw refused(internet, group, row, port, error);
  }
}

/**
 * All addresses of both families are one socket where both lead to the same place, or where nobody serves them: half as
 * many descriptors and calls.
 */
function socketsFor(bound: readonly RowWish[], served: boolean): readonly OneOrMore<RowWish>[] {
  const ipv4 = bound.find(({ hostIp }) => hostIp === ANY_IPV4);
  const ipv6 = bound.find(({ hostIp }) => hostIp === ANY_IPV6);
  if (ipv4 === undefined || ipv6 === undefined) return bound.map((row) => [row] as const);
  const sameWay = !served || ipv4.endpointIpAddress === ipv6.endpointIpAddress;
  if (!sameWay) return bound.map((row) => [row] as const);
  return [[ipv4, ipv6], ...bound.filter((row) => row !== ipv4 && row !== ipv6).map((row) => [row] as const)];
}

function refused(internet: InternetCalls, group: PortGroup, row: RowWish, port: number, error: unknown): Error {
  if (!(error instanceof KernelError)) return error instanceof Error ? error : new Error(String(error));
  if (error.call !== 'bind') {
    const isShort = error.code === 'EMFILE';
    const cause = isShort ? noDescriptors(group, row, internet.descriptorLimit()) : noSocket(group, row, error.code);
    return new BindFailure(cause, false);
  }
  return new BindFailure(bindFailed(group, row, port, error.code), error.code === 'EADDRINUSE');
}
