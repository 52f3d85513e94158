/**
 * Execs under conmon. Like a container's, an exec's monitor outlives the daemon: it goes on, and leaves its exit code in
 * the exec's run directory, where the next daemon finds it together with what this one noted.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import type { ExecId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { CgroupHost } from '../cgroups.ts';
import { execFailure, type StartFailure } from '../errors.ts';
import type { AdoptedExec, AttachSession, ExecRequest, Task } from '../monitor.ts';
import { AttachPoint } from './attach-point.ts';
import type { MonitorCommand } from './command.ts';
import { readExit, type ExitNote } from './exits.ts';
import { handlesOf, holdMonitor, isInCgroupOf, killLeftMonitor, killMonitor, killProcess } from './handles.ts';
import type { Launch } from './launch.ts';
import { RunDirectory, type ExecDescription, type TaskNature } from './run-directory.ts';
import { ConmonTask } from './task.ts';

/** How often it is looked whether a monitor that was starting an exec has come to its end with that. */
const STARTING_INTERVAL_MS = 20;
/** How long that is waited for; a runtime needs some milliseconds. */
const STARTING_LIMIT_MS = 3000;

export interface ExecsOptions {
  readonly kernel: Pick<Kernel, 'processes' | 'sockets'>;
  readonly clock: Clock;
  readonly cgroups: CgroupHost;
  /** Directory of the run directories. */
  readonly root: string;
  readonly launch: (command: Omit<MonitorCommand, 'conmonPath'>) => Promise<Launch>;
  readonly reportedPid: (
    started: Launch,
    directory: RunDirectory,
    failure: (said: string) => StartFailure,
  ) => Promise<number>;
}

export class ConmonExecs {
  readonly #options: ExecsOptions;

  constructor(options: ExecsOptions) {
    this.#options = options;
    mkdirSync(options.root, { recursive: true, mode: 0o700 });
  }

  /** See {@link Monitor.exec}. */
  start(request: ExecRequest): Promise<{ readonly task: Task; readonly session: AttachSession | null }> {
    const { execId, containerId, runtime, process, terminal, stdin, attachFirst, note = null } = request;
    const { kernel, clock, cgroups } = this.#options;
    return Undo.guard(async (undo) => {
      const nature: TaskNature = { terminal, stdin, keepStdinOpen: false };
      const directory = this.#directory(execId);
      directory.create();
      undo.defer(() => directory.remove());
      directory.describeExec({ containerId, nature, note });
      const processPath = join(directory.path, 'process.json');
      writeFileSync(processPath, JSON.stringify(process), { mode: 0o600 });
      undo.defer(() => killProcess(kernel.processes, directory, cgroups, containerId));
      undo.defer(() => killMonitor(kernel.processes, directory, execId));
      const started = await this.#options.launch({
        runtime,
        containerId,
        unique: execId,
        bundlePath: directory.path,
        runPath: directory.path,
        exitsPath: directory.path,
        logPath: null,
        ...nature,
        exec: { processPath, attachFirst },
      });
      undo.defer(() => started[Symbol.dispose]());
      const attachPoint = new AttachPoint(kernel, clock, directory.path, nature);
      const session = await sessionBeforeStart(started, attachPoint);
      if (session !== null) undo.defer(async () => session[Symbol.asyncDispose]());
      const program = process.args[0] ?? null;
      const pid = await this.#options.reportedPid(started, directory, (said) => execFailure(said, program));
      return { task: this.#startedTask(request, started, directory, attachPoint, pid), session };
    });
  }

  /** See {@link Monitor.adoptExecs}. */
  async adopt(): Promise<readonly AdoptedExec[]> {
    const ids = readdirSync(this.#options.root) as ExecId[];
    const adopted = await Promise.all(ids.map((id) => this.#adoptOne(id)));
    return adopted.filter((exec) => exec !== null);
  }

  async #adoptOne(execId: ExecId): Promise<AdoptedExec | null> {
    const { kernel, cgroups } = this.#options;
    const directory = this.#directory(execId);
    const description = directory.execDescription();
    const note = description?.note ?? null;
    const pid = await this.#settledPid(directory, execId);
    if (description === null || note === null || pid === null) {
      await killLeftMonitor(kernel.processes, directory, execId);
      if (description !== null) killProcess(kernel.processes, directory, cgroups, description.containerId);
      directory.remove();
      return null;
    }
    const { containerId } = description;
    return { execId, containerId, note, task: this.#foundTask(execId, description, directory, pid) };
  }

  /** The daemon may have been killed while the runtime made the process: then its pid is about to be written. */
  async #settledPid(directory: RunDirectory, execId: ExecId): Promise<number | null> {
    const { kernel, clock } = this.#options;
    using monitor = holdMonitor(kernel.processes, directory, execId);
    const deadline = clock.monotonicMs() + STARTING_LIMIT_MS;
    let monitorRuns = monitor !== null;
    void monitor?.exited.then(() => {
      monitorRuns = false;
    });
    for (;;) {
      // Looked at before the pid: one that was written in the monitor's last moment counts.
      const isLast = !monitorRuns || clock.monotonicMs() > deadline;
      const pid = directory.processPid();
      if (pid !== null || isLast) return pid;
      await new Promise<void>((resolve) => {
        clock.after(STARTING_INTERVAL_MS, resolve);
      });
    }
  }

  #startedTask(
    request: ExecRequest,
    started: Launch,
    directory: RunDirectory,
    attachPoint: AttachPoint,
    pid: number,
  ): Task {
    const { clock, kernel } = this.#options;
    const { execId, containerId, terminal, stdin } = request;
    const handedOver = Promise.withResolvers<ExitNote>();
    // conmon's second message is the exit code; the pipe's end without one means that conmon was killed.
    const last = started.sync.next().then((report): ExitNote | null => {
      const note = report === null ? null : { exitCode: report.data, exitedAt: clock.now() };
      if (note !== null) handedOver.resolve(note);
      started[Symbol.dispose]();
      return note;
    });
    return new ConmonTask({
      ...this.#common(directory),
      ...handlesOf(kernel.processes, directory, execId, { pid, isOurs: () => true }),
      containerId,
      pid,
      nature: { terminal, stdin, keepStdinOpen: false },
      attachPoint,
      handedOver: handedOver.promise,
      lastWord: () => last,
    });
  }

  /** There is no pipe to its monitor any more: its end and the exit file beside it tell. */
  #foundTask(execId: ExecId, { containerId, nature }: ExecDescription, directory: RunDirectory, pid: number): Task {
    const { clock, kernel, cgroups } = this.#options;
    const isOurs = (): boolean => isInCgroupOf(cgroups, pid, containerId);
    return new ConmonTask({
      ...this.#common(directory),
      ...handlesOf(kernel.processes, directory, execId, { pid, isOurs }),
      containerId,
      pid,
      nature,
      attachPoint: new AttachPoint(kernel, clock, directory.path, nature),
      handedOver: new Promise(() => undefined),
      lastWord: () => readExit(join(directory.path, containerId), clock),
    });
  }

  #common(
    directory: RunDirectory,
  ): Pick<
    ConstructorParameters<typeof ConmonTask>[0],
    'clock' | 'directory' | 'bundlePath' | 'wasOomKilled' | 'start' | 'release'
  > {
    return {
      clock: this.#options.clock,
      directory,
      bundlePath: directory.path,
      wasOomKilled: null,
      start: () => Promise.resolve(),
      release: () => Promise.resolve(),
    };
  }

  #directory(id: ExecId): RunDirectory {
    return new RunDirectory(join(this.#options.root, id));
  }
}

/** Connects before the process begins, where that was asked for. Null when conmon could not get so far. */
async function sessionBeforeStart(started: Launch, attachPoint: AttachPoint): Promise<AttachSession | null> {
  if (started.attachReady === null) return null;
  if ((await started.attachReady.next()) === null) return null;
  const session = await attachPoint.attach();
  started.release();
  return session;
}
