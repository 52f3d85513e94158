/**
 * Two of crun's verbs done in process, each a few system calls in place of 4 ms of program start. They rest on crun's
 * own files below its root, which are no interface: everything is recognised before it is used, and whatever looks
 * otherwise is answered by `false`, on which the caller runs the real command.
 *
 *   <root>/<id>/status       JSON: pid, cgroup-path, systemd-cgroup, bundle …
 *   <root>/<id>/config.json  copy of the bundle's
 *   <root>/<id>/exec.fifo    there until the container is started; its first process reads one byte from it
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { errnoCodeOf } from '../../base/errors.ts';
import { removeCgroup, type CgroupHost } from './cgroups.ts';

/** True when this crun knows the annotation that carries a compiled seccomp program; an unknown one would be ignored. */
export function knowsCompiledSeccomp(programPath: string): boolean {
  try {
    return readFileSync(programPath).includes('run.oci.seccomp_bpf_data');
  } catch {
    return false;
  }
}

/** Lets a created container go: what `crun start` does for one without hooks. */
export function startByFifo(stateDirectory: string): boolean {
  if (hasHooks(stateDirectory)) return false;
  const path = `${stateDirectory}/exec.fifo`;
  let fd: number;
  try {
    // Without a reader (no process waits there) this fails instead of blocking.
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    if (!fstatSync(fd).isFIFO()) return false;
    // In crun's own order: with the fifo gone the container counts as running.
    unlinkSync(path);
    writeSync(fd, '0');
    return true;
  } finally {
    closeSync(fd);
  }
}

/** Removes an ended container's cgroups and state; false when it must be left to `crun delete`. */
export function deleteInProcess(
  stateDirectory: string,
  cgroups: CgroupHost,
  processIsGone: (pid: number) => boolean,
): boolean {
  const status = readStatus(stateDirectory);
  if (status === null || hasHooks(stateDirectory)) return false;
  if (!processIsGone(status.pid) || !removeCgroup(cgroups, status.cgroupPath)) return false;
  rmSync(stateDirectory, { recursive: true, force: true });
  return true;
}

/** Takes the bound on processes away, for which crun (1.8) knows no word; false when its state is not as known. */
export function unlimitProcesses(stateDirectory: string, cgroups: CgroupHost): boolean {
  const path = readStatusFile(stateDirectory)?.['cgroup-path'];
  const mountPoint = [...cgroups.mountPoints].find(([names]) =>
    cgroups.version === '2' ? names === '' : names.split(',').includes('pids'),
  )?.[1];
  if (typeof path !== 'string' || mountPoint === undefined) return false;
  writeFileSync(`${mountPoint}${path}/pids.max`, 'max');
  return true;
}

/** True when crun has state of this container. */
export function hasState(stateDirectory: string): boolean {
  return existsSync(stateDirectory);
}

function readStatus(stateDirectory: string): { readonly pid: number; readonly cgroupPath: string } | null {
  const { pid, 'cgroup-path': cgroupPath, 'systemd-cgroup': systemd } = readStatusFile(stateDirectory) ?? {};
  return typeof pid === 'number' && typeof cgroupPath === 'string' && systemd === false ? { pid, cgroupPath } : null;
}

function readStatusFile(stateDirectory: string): Readonly<Record<string, unknown>> | null {
  try {
    const status: unknown = JSON.parse(readFileSync(`${stateDirectory}/status`, 'utf8'));
    return typeof status === 'object' && status !== null ? (status as Readonly<Record<string, unknown>>) : null;
  } catch (error) {
    if (errnoCodeOf(error) === null && !(error instanceof SyntaxError)) throw error;
    return null;
  }
}

/** Hooks are run by crun itself. Unreadable counts as yes. */
function hasHooks(stateDirectory: string): boolean {
  try {
    return readFileSync(`${stateDirectory}/config.json`).includes('"hooks"');
  } catch {
    return true;
  }
}
