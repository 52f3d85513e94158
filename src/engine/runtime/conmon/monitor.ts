/**
 * The monitor by conmon (https://github.com/containers/conmon, 2.1.6 and later): one process a container or exec, in a
 * session of its own, with no pipe to the daemon whose break would hurt it.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import { cgroupOfProcess, removeCgroup, wasOomKilled, type CgroupHost } from '../cgroups.ts';
import { checkpointFailure } from '../checkpoints.ts';
import { createFailure, monitorFailure, restoreFailure, type StartFailure } from '../errors.ts';
import type { AdoptedExec, AttachSession, ExecRequest, Monitor, Task, TaskRequest } from '../monitor.ts';
import type { OciRuntime } from '../runtime.ts';
import type { MonitorScope } from '../units.ts';
import { AttachPoint } from './attach-point.ts';
import type { MonitorCommand } from './command.ts';
import { ConmonExecs } from './execs.ts';
import { ExitFiles, type ExitNote } from './exits.ts';
import { handlesOf, isInCgroupOf, killLeftMonitor, killMonitor } from './handles.ts';
import { launch, type Launch } from './launch.ts';
import { RunDirectory, type TaskNature } from './run-directory.ts';
import { ConmonTask } from './task.ts';

const SIGKILL = 9;

/** What the composition root hands in. */
export interface ConmonOptions {
  readonly kernel: Pick<Kernel, 'processes' | 'sockets'>;
  readonly clock: Clock;
  readonly conmonPath: string;
  /** Directory below the exec-root for run directories and exit files. */
  readonly root: string;
  readonly cgroups: CgroupHost;
  /** Where monitors live; absent: with the daemon. */
  readonly scope?: MonitorScope;
}

interface MadeProcess {
  readonly bundlePath: string;
  readonly nature: TaskNature;
  readonly pid: number;
  /** It waits for no start. */
  readonly isRunning: boolean;
}

/** One conmon a container or exec. Disposing lets go of the watch only; everything monitored goes on. */
export class ConmonMonitor implements Monitor, Disposable {
  readonly #options: ConmonOptions;
  readonly #exits: ExitFiles;
  readonly #execs: ConmonExecs;
  readonly #temporaryPath: string;
  #version: Promise<string> | null = null;

  constructor(options: ConmonOptions) {
    this.#options = options;
    this.#exits = new ExitFiles(join(options.root, 'exits'), options.clock);
    this.#temporaryPath = join(options.root, 'tmp');
    mkdirSync(this.#temporaryPath, { recursive: true, mode: 0o700 });
    this.#execs = new ConmonExecs({
      kernel: options.kernel,
      clock: options.clock,
      cgroups: options.cgroups,
      root: join(options.root, 'execs'),
      launch: (command) => this.#launch(command),
      reportedPid,
    });
  }

  /** conmon's version; '' when it does not say. Asked once. */
  version(): Promise<string> {
    const { kernel, conmonPath } = this.#options;
    this.#version ??= kernel.processes.capture({ argv: [conmonPath, '--version'], env: {} }).then(
      ({ stdout }) => /version (\S+)/.exec(stdout)?.[1] ?? '',
      () => '',
    );
    return this.#version;
  }

  create(request: TaskRequest): Promise<Task> {
    const { containerId, runtime, bundlePath, logPath, journal, terminal, stdin, keepStdinOpen, signal } = request;
    const { restore = null } = request;
    signal?.throwIfAborted();
    const { processes } = this.#options.kernel;
    return Undo.guard(async (undo) => {
      const nature: TaskNature = { terminal, stdin, keepStdinOpen };
      const directory = this.#taskDirectory(containerId);
      this.#exits.remove(containerId);
      directory.create();
      undo.defer(() => directory.remove());
      directory.describe(bundlePath, nature);
      // A runtime that fails forgets the container, but not always the cgroup it had made for it.
      undo.defer(() => void removeCgroup(this.#options.cgroups, cgroupsPathIn(bundlePath, containerId)));
      undo.defer(() => runtime.delete(containerId, { force: true }));
      undo.defer(() => killMonitor(processes, directory, containerId));
      using started = await this.#launch({
        runtime,
        containerId,
        unique: containerId,
        bundlePath,
        runPath: directory.path,
        exitsPath: this.#exits.path,
        logPath,
        journal: journal ?? null,
        ...nature,
        restore,
        exec: null,
      });
      const abort = (): void => void killMonitor(processes, directory, containerId);
      signal?.addEventListener('abort', abort, { once: true });
      try {
        const pid = await reportedPid(started, directory, (said) =>
          restore === null
            ? createFailure(said, programOf(bundlePath))
            : restoreFailure(checkpointFailure(said, restore.workPath, 'restore')),
        );
        signal?.throwIfAborted();
        const isRunning = restore !== null;
        return this.#taskOf(containerId, runtime, directory, { bundlePath, nature, pid, isRunning });
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    });
  }

  exec(request: ExecRequest): Promise<{ readonly task: Task; readonly session: AttachSession | null }> {
    return this.#execs.start(request);
  }

  adoptExecs(): Promise<readonly AdoptedExec[]> {
    return this.#execs.adopt();
  }

  async adopt(containerId: ContainerId, runtime: OciRuntime): Promise<Task | null> {
    const directory = this.#taskDirectory(containerId);
    const description = directory.description();
    const pid = directory.processPid();
    if (description === null || pid === null) {
      // The daemon was killed before the container was made: nothing anybody was told about.
      if (directory.exists()) await this.#discard(directory, containerId, runtime);
      return null;
    }
    const { bundlePath, nature } = description;
    return this.#taskOf(containerId, runtime, directory, { bundlePath, nature, pid, isRunning: false });
  }

  [Symbol.dispose](): void {
    this.#exits[Symbol.dispose]();
  }

  #taskDirectory(id: ContainerId): RunDirectory {
    return new RunDirectory(join(this.#options.root, 'tasks', id));
  }

  #launch(command: Omit<MonitorCommand, 'conmonPath'>): Promise<Launch> {
    const { kernel, conmonPath, scope = null } = this.#options;
    return launch({ kernel, scope, temporaryPath: this.#temporaryPath }, { ...command, conmonPath });
  }

  #taskOf(
    containerId: ContainerId,
    runtime: OciRuntime,
    directory: RunDirectory,
    { bundlePath, nature, pid, isRunning }: MadeProcess,
  ): Task {
    const { kernel, clock, cgroups } = this.#options;
    const isOurs = (): boolean => isInCgroupOf(cgroups, pid, containerId);
    const { process, monitor } = handlesOf(kernel.processes, directory, containerId, { pid, isOurs });
    const handedOver = Promise.withResolvers<ExitNote>();
    const waiting = this.#exits.expect(containerId, (note) => handedOver.resolve(note));
    const cgroup = process === null ? null : cgroupOfProcess(cgroups, pid);
    return new ConmonTask({
      clock,
      containerId,
      pid,
      process,
      monitor,
      directory,
      bundlePath,
      nature,
      attachPoint: new AttachPoint(kernel, clock, bundlePath, nature),
      handedOver: handedOver.promise,
      lastWord: () => this.#exits.read(containerId),
      wasOomKilled: () => cgroup !== null && wasOomKilled(cgroups, cgroup),
      start: async () => {
        if (!isRunning) await runtime.start(containerId);
      },
      release: async ({ hasEnded }) => {
        waiting[Symbol.dispose]();
        // It would tell of the process's end when nobody takes the note away any more.
        if (!hasEnded && monitor?.signal(SIGKILL) === true) await monitor.exited;
        await runtime.delete(containerId, { force: true });
        this.#exits.remove(containerId);
      },
    });
  }

  async #discard(directory: RunDirectory, id: ContainerId, runtime: OciRuntime): Promise<void> {
    await killLeftMonitor(this.#options.kernel.processes, directory, id);
    await runtime.delete(id, { force: true });
    this.#exits.remove(id);
    directory.remove();
  }
}

async function reportedPid(
  started: Launch,
  directory: RunDirectory,
  failure: (said: string) => StartFailure,
): Promise<number> {
  const report = await started.sync.next();
  if (report !== null && report.data > 0) return report.data;
  const said = report === null || report.message === '' ? directory.runtimeLog() : report.message;
  if (said !== '') throw failure(said);
  throw monitorFailure((await started.complaint).trim());
}

/** The first word of the container's process, for error texts. */
function programOf(bundlePath: string): string | null {
  return configOf(bundlePath)?.process.args[0] ?? null;
}

/** The cgroup a bundle asks for, where that is a path of the container's own; else ''. systemd takes care of its units. */
function cgroupsPathIn(bundlePath: string, id: ContainerId): string {
  const path = configOf(bundlePath)?.linux.cgroupsPath ?? '';
  return path.startsWith('/') && path.endsWith(`/${id}`) ? path : '';
}

function configOf(bundlePath: string): Pick<RuntimeSpec, 'process' | 'linux'> | null {
  try {
    return JSON.parse(readFileSync(join(bundlePath, 'config.json'), 'utf8')) as Pick<RuntimeSpec, 'process' | 'linux'>;
  } catch {
    return null;
  }
}
