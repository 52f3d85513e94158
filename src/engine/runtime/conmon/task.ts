import { rmSync } from 'node:fs';
import type { Clock } from '../../../base/clock.ts';
import { ConflictError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { ProcessHandle } from '../../kernel/kernel.ts';
import type { AttachSession, Task, TaskExit } from '../monitor.ts';
import type { AttachPoint } from './attach-point.ts';
import { sendReopenLog, sendSize } from './control.ts';
import type { ExitNote } from './exits.ts';
import type { RunDirectory, TaskNature } from './run-directory.ts';

const SIGKILL = 9;
/** Exit code of a process whose own word was lost with its monitor: Docker's, for one that was killed. */
const LOST_EXIT_CODE = 137;

/** Everything a task is made of. */
export interface TaskParts {
  readonly clock: Clock;
  readonly containerId: ContainerId;
  readonly pid: number;
  /** The process; null when it has ended already. */
  readonly process: ProcessHandle | null;
  /** conmon; null when it has ended already. */
  readonly monitor: ProcessHandle | null;
  readonly directory: RunDirectory;
  readonly bundlePath: string;
  readonly nature: TaskNature;
  readonly attachPoint: AttachPoint;
  /** Settles with the exit code conmon has handed over. Stays pending when conmon was killed. */
  readonly handedOver: Promise<ExitNote>;
  /** Asked once more when conmon has ended: what it handed over in its last moment. */
  readonly lastWord: () => ExitNote | null | Promise<ExitNote | null>;
  /** Asks the cgroup; null where it is not the process's own. */
  readonly wasOomKilled: (() => boolean) | null;
  readonly start: () => Promise<void>;
  /** Removes the runtime's state, and ends what has not ended. */
  readonly release: (task: { readonly hasEnded: boolean }) => Promise<void>;
}

/** One process under conmon. */
export class ConmonTask implements Task {
  readonly containerId: ContainerId;
  readonly pid: number;
  readonly exit: Promise<TaskExit>;
  readonly #parts: TaskParts;
  #hasEnded = false;
  /** What the cgroup told at the very end of the process: systemd takes an empty one away before conmon has spoken. */
  #wasOomKilled = false;

  constructor(parts: TaskParts) {
    this.#parts = parts;
    if (parts.wasOomKilled !== null) {
      void parts.process?.exited.then(() => {
        this.#wasOomKilled = parts.wasOomKilled?.() ?? false;
      });
    }
    this.containerId = parts.containerId;
    this.pid = parts.pid;
    this.exit = this.#watch();
  }

  start(): Promise<void> {
    return this.#parts.start();
  }

  async attach(): Promise<AttachSession> {
    if (this.#hasEnded) throw new ConflictError(`container ${this.containerId} is not running`);
    return this.#parts.attachPoint.attach();
  }

  async resize(size: { readonly height: number; readonly width: number }): Promise<void> {
    if (this.#parts.nature.terminal) sendSize(this.#parts.bundlePath, size);
  }

  signal(signal: number): boolean {
    return this.#parts.process?.signal(signal) ?? false;
  }

  async reopenLog(): Promise<void> {
    sendReopenLog(this.#parts.bundlePath);
  }

  async delete(): Promise<void> {
    await this.#parts.release({ hasEnded: this.#hasEnded });
    for (const name of ['attach', 'ctl', 'winsz']) rmSync(`${this.#parts.bundlePath}/${name}`, { force: true });
    this.#parts.directory.remove();
    this.#parts.process?.[Symbol.dispose]();
    this.#parts.monitor?.[Symbol.dispose]();
  }

  /** conmon's own word when there is one; else, with conmon gone, an end is made of the process. */
  async #watch(): Promise<TaskExit> {
    const { handedOver, monitor } = this.#parts;
    const monitorEnded = monitor === null ? Promise.resolve() : monitor.exited;
    const note = await Promise.race([handedOver, monitorEnded.then(() => this.#parts.lastWord())]);
    const oomKilled = this.#parts.directory.sawOom() || this.#wasOomKilled || (this.#parts.wasOomKilled?.() ?? false);
    if (note !== null) {
      this.#hasEnded = true;
      return { ...note, exitCode: note.exitCode & 0xff, oomKilled, error: null };
    }
    await this.#endProcess();
    this.#hasEnded = true;
    return {
      exitCode: LOST_EXIT_CODE,
      exitedAt: this.#parts.clock.now(),
      oomKilled,
      error: 'the monitor process (conmon) was killed: the exit status is unknown',
    };
  }

  /** Without conmon nobody reads its output any more and nobody can wait for it: it must not go on unseen. */
  async #endProcess(): Promise<void> {
    const { process } = this.#parts;
    if (process === null) return;
    if (process.signal(SIGKILL)) await process.exited;
  }
}
