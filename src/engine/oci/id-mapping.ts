/** Which ids of the host stand for the ids inside a user namespace. Pure. */

/** One run of ids, in the runtime-spec's words. */
export interface LinuxIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** All ids of a user namespace; those in no run do not exist in it. */
export interface IdMapping {
  readonly uids: readonly LinuxIdMapping[];
  readonly gids: readonly LinuxIdMapping[];
}

/** The host's id for one inside; null when it is not mapped. */
export function idOnHost(runs: readonly LinuxIdMapping[], id: number): number | null {
  const run = runs.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return run === undefined ? null : run.hostID + id - run.containerID;
}

/** The id inside for one of the host; null when it is not mapped. */
export function idInside(runs: readonly LinuxIdMapping[], id: number): number | null {
  const run = runs.find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return run === undefined ? null : run.containerID + id - run.hostID;
}

/** What the kernel wants in `/proc/PID/uid_map`. */
export function idMapText(runs: readonly LinuxIdMapping[]): string {
  return runs
    .map(({ containerID, hostID, size }) => `${String(containerID)} ${String(hostID)} ${String(size)}\n`)
    .join('');
}

/** True when both map every id alike. */
export function sameMapping(a: IdMapping, b: IdMapping): boolean {
  return idMapText(a.uids) === idMapText(b.uids) && idMapText(a.gids) === idMapText(b.gids);
}
