import type { PortProtocol, PublishedPort } from '../../types.ts';

/** Ports in a row that lead to ports in a row of the same address. */
export interface PortRun {
  readonly protocol: PortProtocol;
  readonly address: string;
  /** Empty in {@link containerRuns}. */
  readonly hostIp: string;
  readonly hostStart: number;
  readonly containerStart: number;
  readonly length: number;
}

/**
 * Fewer in a row are a rule each, as Docker writes them, so that who looks for a port finds its number; thousands in a row
 * are one, or every new connection would be held against each of them.
 */
export const SHORTEST_RUN = 32;

/** By what is asked for on the host. */
export function hostRuns(ports: readonly PublishedPort[]): readonly PortRun[] {
  return inRuns(ports.map(runOf));
}

/** By what is reached in containers, whichever host ports lead there. */
export function containerRuns(ports: readonly PublishedPort[]): readonly PortRun[] {
  const unique = new Map<string, PortRun>();
  for (const run of ports.map(runOf)) {
    const { address, protocol, containerStart } = run;
    unique.set(`${protocol} ${address} ${String(containerStart)}`, { ...run, hostIp: '', hostStart: containerStart });
  }
  return inRuns([...unique.values()]);
}

function runOf({ container, endpointIpAddress, hostIp, hostPort }: PublishedPort): PortRun {
  const { port, protocol } = container;
  return { protocol, address: endpointIpAddress, hostIp, hostStart: hostPort, containerStart: port, length: 1 };
}

function inRuns(singles: readonly PortRun[]): readonly PortRun[] {
  const rows: PortRun[][] = [];
  for (const single of [...singles].sort(byPlace)) {
    const row = rows.at(-1);
    const before = row?.at(-1);
    if (row !== undefined && before !== undefined && follows(before, single)) row.push(single);
    else rows.push([single]);
  }
  return rows.flatMap((row) => {
    const [start] = row;
    return start === undefined || row.length < SHORTEST_RUN ? row : [{ ...start, length: row.length }];
  });
}

function byPlace(a: PortRun, b: PortRun): number {
  return compare(placeOf(a), placeOf(b)) || a.hostStart - b.hostStart;
}

function placeOf({ protocol, hostIp, address, hostStart, containerStart }: PortRun): string {
  return [protocol, hostIp, address, String(containerStart - hostStart)].join(' ');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function follows(before: PortRun, after: PortRun): boolean {
  return placeOf(before) === placeOf(after) && after.hostStart === before.hostStart + 1;
}
