/**
 * What a monitored process leaves on disk, below the exec-root (short paths, and gone after a reboot):
 *
 *   <root>/tasks/<container id>/   conmon.pid  pid  oom  bundle → the bundle  task.json (how its stdio is set up)
 *   <root>/execs/<exec id>/        conmon.pid  pid  exec.json  process.json  attach  ctl  winsz
 *                                  <container id>: the exit code
 *   <root>/exits/<container id>    the exit code
 *
 * A pid in such a file may belong to somebody else by now: it counts only when the process says that it is ours.
 */
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { ContainerId, ExecId } from '../../../base/ids.ts';
import { MONITOR_PID_FILE, OOM_FILE, PROCESS_PID_FILE, RUNTIME_LOG_FILE } from './command.ts';

/** How a process's stdio was set up; kept for `adopt`. */
export interface TaskNature {
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly keepStdinOpen: boolean;
}

/** What is kept of an exec for `adoptExecs`. */
export interface ExecDescription {
  readonly containerId: ContainerId;
  readonly nature: TaskNature;
  /** The engine's own words on it; null when the next daemon is to end it. */
  readonly note: string | null;
}

/** The run directory of one monitored process. */
export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  /** Makes it anew; what an earlier run left is removed. */
  create(): void {
    this.remove();
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Notes what `adopt` needs. */
  describe(bundlePath: string, nature: TaskNature): void {
    symlinkSync(bundlePath, `${this.path}/bundle`);
    const { terminal, stdin, keepStdinOpen } = nature;
    writeFileSync(`${this.path}/task.json`, JSON.stringify({ terminal, stdin, keepStdinOpen }));
  }

  /** Null when the daemon ended before it was noted. */
  description(): { readonly bundlePath: string; readonly nature: TaskNature } | null {
    try {
      const nature = JSON.parse(readFileSync(`${this.path}/task.json`, 'utf8')) as TaskNature;
      return { bundlePath: readlinkSync(`${this.path}/bundle`), nature };
    } catch {
      return null;
    }
  }

  /** Notes what `adoptExecs` needs. */
  describeExec({ containerId, nature, note }: ExecDescription): void {
    const { terminal, stdin, keepStdinOpen } = nature;
    const text = JSON.stringify({ containerId, nature: { terminal, stdin, keepStdinOpen }, note });
    writeFileSync(`${this.path}/exec.json`, text, { mode: 0o600 });
  }

  /** Null when the daemon ended before it was noted. */
  execDescription(): ExecDescription | null {
    try {
      return JSON.parse(readFileSync(`${this.path}/exec.json`, 'utf8')) as ExecDescription;
    } catch {
      return null;
    }
  }

  monitorPid(): number | null {
    return this.#pid(MONITOR_PID_FILE);
  }

  processPid(): number | null {
    return this.#pid(PROCESS_PID_FILE);
  }

  /** conmon saw the OOM killer strike. */
  sawOom(): boolean {
    return existsSync(`${this.path}/${OOM_FILE}`);
  }

  /** What the runtime had to say where its stderr is not read; '' mostly. */
  runtimeLog(): string {
    try {
      return readFileSync(`${this.path}/${RUNTIME_LOG_FILE}`, 'utf8');
    } catch {
      return '';
    }
  }

  #pid(file: string): number | null {
    try {
      const pid = Number.parseInt(readFileSync(`${this.path}/${file}`, 'utf8'), 10);
      return pid > 0 ? pid : null;
    } catch {
      return null;
    }
  }
}

/** True when `pid` is the monitor of this container or exec: its command line names it. Open a pidfd before asking. */
export function isMonitorOf(pid: number, id: ContainerId | ExecId): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
      .split('\0')
      .includes(`--cuuid=${id}`);
  } catch {
    return false;
  }
}
