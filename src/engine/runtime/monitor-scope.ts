import { closeSync, constants, existsSync, openSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import { ConflictError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { CgroupHost } from './cgroups.ts';
import { RUNTIME_ENV } from './oci-program.ts';
import type { MonitorScope, Units } from './units.ts';

export const MONITORS_UNIT = 'docker-monitors.scope';
const DESCRIPTION = 'Monitors (conmon) of Docker containers';
/**
 * A scope ends with its last process, and one made anew for each container would cost a D-Bus call and a race with the
 * old one's end: this one stays in it as long as the daemon lives. It ends with the pipe that the daemon holds.
 */
const KEEPER = ['/bin/sh', '-c', 'read -r _ # keeps this scope while the Docker engine runs'] as const;
/** A bus that does not answer must not slow every start down. */
const RETRY_PAUSE_MS = 30_000;

export interface MonitorScopeOptions {
  readonly kernel: Pick<Kernel, 'processes'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cgroups: CgroupHost;
  readonly units: Units;
}

/** `cgroup.procs` of the scope's group in each hierarchy where it has one. */
type GroupFiles = readonly string[];

const writeLater = promisify(write);

/**
 * One scope for the monitors of all containers, made at first need by systemd, joined later by one write to each
 * hierarchy. Disposing lets it end with its last monitor.
 */
export class SystemdMonitorScope implements MonitorScope, Disposable {
  readonly #options: MonitorScopeOptions;
  #files: Promise<GroupFiles> | null = null;
  #keeper: Disposable | null = null;
  #failedAtMs: number | null = null;

  constructor(options: MonitorScopeOptions) {
    this.#options = options;
  }

  async adopt(pid: number): Promise<void> {
    const { clock, logger } = this.#options;
    if (this.#failedAtMs !== null && clock.monotonicMs() - this.#failedAtMs < RETRY_PAUSE_MS) return;
    try {
      await this.#place(pid).catch(() => {
        // Somebody has stopped the scope: make it anew, once.
        this.#forget();
        return this.#place(pid);
      });
      this.#failedAtMs = null;
    } catch (error) {
      this.#forget();
      this.#failedAtMs = clock.monotonicMs();
      logger.warn(`${MONITORS_UNIT} cannot be used: monitors stay in the control group of the engine`, {
        reason: messageOf(error),
      });
    }
  }

  /** Makes the scope before anybody waits for it. */
  async prepare(): Promise<void> {
    // `adopt` tries again, and tells why it cannot.
    await this.#groupFiles().catch(() => this.#forget());
  }

  [Symbol.dispose](): void {
    this.#forget();
  }

  async #place(pid: number): Promise<void> {
    const [first, ...others] = await this.#groupFiles();
    if (first === undefined) return;
    // The kernel waits some milliseconds for all processors before a move, but not for those that follow at once.
    await writeTo(first, pid, writeLater);
    for (const file of others) await writeTo(file, pid, writeSync);
  }

  #groupFiles(): Promise<GroupFiles> {
    this.#files ??= this.#open();
    return this.#files;
  }

  #forget(): void {
    this.#files = null;
    this.#keeper?.[Symbol.dispose]();
    this.#keeper = null;
  }

  async #open(): Promise<GroupFiles> {
    const { units, cgroups } = this.#options;
    const pid = this.#startKeeper();
    const controlGroup = (await units.controlGroupOf(MONITORS_UNIT)) ?? (await this.#start(pid));
    const files = groupFilesOf(cgroups, controlGroup);
    for (const file of files) await writeTo(file, pid, writeLater);
    return files;
  }

  /** Another engine of this host may have made it a moment ago. */
  async #start(keeperPid: number): Promise<string> {
    const { units } = this.#options;
    try {
      return await units.startScope({ name: MONITORS_UNIT, description: DESCRIPTION, pids: [keeperPid] });
    } catch (error) {
      const controlGroup = error instanceof ConflictError ? await units.controlGroupOf(MONITORS_UNIT) : null;
      if (controlGroup === null) throw error;
      return controlGroup;
    }
  }

  #startKeeper(): number {
    const { processes } = this.#options.kernel;
    const { read, write: hold } = processes.pipe();
    const keeper = new DisposableStack();
    keeper.defer(() => closeSync(hold));
    this.#keeper = keeper;
    try {
      const pid = processes.spawn({ argv: [...KEEPER], env: RUNTIME_ENV, fds: [[read, 0]], newSession: true });
      const ended = (): void => {
        if (this.#keeper === keeper) this.#forget();
      };
      void processes.wait(pid).then(ended, ended);
      return pid;
    } finally {
      closeSync(read);
    }
  }
}

/** systemd makes a group in those v1 hierarchies whose controllers it knows; in the others everybody is in the root. */
function groupFilesOf(cgroups: CgroupHost, controlGroup: string): GroupFiles {
  return [...cgroups.mountPoints.values()]
    .map((mountPoint) => `${mountPoint}${controlGroup}/cgroup.procs`)
    .filter((path) => existsSync(path));
}

async function writeTo(path: string, pid: number, writeFd: (fd: number, text: string) => unknown): Promise<void> {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    await writeFd(fd, String(pid));
  } finally {
    closeSync(fd);
  }
}
