/** Handles on monitored processes and their monitors, which may have ended and whose pids may be somebody else's. */
import { readdir } from 'node:fs/promises';
import type { ContainerId, ExecId } from '../../../base/ids.ts';
import type { Kernel, ProcessHandle } from '../../kernel/kernel.ts';
import { cgroupOfProcess, type CgroupHost } from '../cgroups.ts';
import { isMonitorOf, type RunDirectory } from './run-directory.ts';

const SIGKILL = 9;

type Processes = Pick<Kernel['processes'], 'open'>;

/** Both; null for what has ended. */
export interface Handles {
  readonly process: ProcessHandle | null;
  readonly monitor: ProcessHandle | null;
}

/** `id` is the container's or the exec's: whose run directory it is. */
export function handlesOf(
  processes: Processes,
  directory: RunDirectory,
  id: ContainerId | ExecId,
  process: { readonly pid: number; readonly isOurs: () => boolean },
): Handles {
  const held = holdOwn(processes, process.pid, process.isOurs);
  try {
    return { process: held, monitor: holdMonitor(processes, directory, id) };
  } catch (error) {
    held?.[Symbol.dispose]();
    throw error;
  }
}

export function holdMonitor(
  processes: Processes,
  directory: RunDirectory,
  id: ContainerId | ExecId,
): ProcessHandle | null {
  const pid = directory.monitorPid();
  return pid === null ? null : holdOwn(processes, pid, () => isMonitorOf(pid, id));
}

export async function killMonitor(
  processes: Processes,
  directory: RunDirectory,
  id: ContainerId | ExecId,
): Promise<void> {
  using monitor = holdMonitor(processes, directory, id);
  if (monitor?.signal(SIGKILL) === true) await monitor.exited;
}

/**
 * Ends the monitor that a killed daemon left behind, also one that had not come to writing its pid down: it would go on,
 * and have the runtime make what nobody knows of.
 */
export async function killLeftMonitor(
  processes: Processes,
  directory: RunDirectory,
  id: ContainerId | ExecId,
): Promise<void> {
  await killMonitor(processes, directory, id);
  if (directory.monitorPid() !== null) return;
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!(pid > 0) || !isMonitorOf(pid, id)) continue;
    using monitor = holdOwn(processes, pid, () => isMonitorOf(pid, id));
    if (monitor?.signal(SIGKILL) === true) await monitor.exited;
  }
}

/** Ends a process of a container that nobody will know of. */
export function killProcess(processes: Processes, directory: RunDirectory, cgroups: CgroupHost, id: ContainerId): void {
  const pid = directory.processPid();
  if (pid === null) return;
  using process = holdOwn(processes, pid, () => isInCgroupOf(cgroups, pid, id));
  process?.signal(SIGKILL);
}

/** True when the process lives in a cgroup that is named after the container; one that has just ended counts too. */
export function isInCgroupOf(cgroups: CgroupHost, pid: number, id: ContainerId): boolean {
  const path = cgroupOfProcess(cgroups, pid);
  return path === null || path.includes(id);
}

/** A handle on `pid` when it is (still) ours. Asked after the handle is there, the answer is about what it holds. */
function holdOwn(processes: Processes, pid: number, isOurs: () => boolean): ProcessHandle | null {
  const handle = processes.open(pid);
  if (handle === null || isOurs()) return handle;
  handle[Symbol.dispose]();
  return null;
}
