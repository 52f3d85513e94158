/**
 * The monitor by conmon (https://github.com/containers/conmon, 2.1.6 and later): one process a container or exec, in a
 * session of its own, with no pipe to the daemon whose break would hurt it.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { Kernel, ProcessHandle } from '../../kernel/kernel.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import { cgroupOfProcess, removeCgroup, wasOomKilled, type CgroupHost } from '../cgroups.ts';
import { createFailure, execFailure, monitorFailure, type StartFailure } from '../errors.ts';
import type { AttachSession, ExecRequest, Monitor, Task, TaskRequest } from '../monitor.ts';
import type { OciRuntime } from '../runtime.ts';
import type { MonitorScope } from '../units.ts';
import { AttachPoint } from './attach-point.ts';
import type { MonitorCommand } from './command.ts';
import { ExitFiles, type ExitNote } from './exits.ts';
import { launch, type Launch } from './launch.ts';
import { isMonitorOf, RunDirectory, type TaskNature } from './run-directory.ts';
import { ConmonTask } from './task.ts';

const SIGKILL = 9;
const EXECS = 'execs';

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

/** One conmon a container or exec. Disposing lets go of the watch only; everything monitored goes on. */
export class ConmonMonitor implements Monitor, Disposable {
  readonly #options: ConmonOptions;
  readonly #exits: ExitFiles;
  readonly #temporaryPath: string;
  #version: Promise<string> | null = null;

  constructor(options: ConmonOptions) {
    this.#options = options;
    // No exec outlives the daemon that knew of it, but for its process: nobody asks for these files any more.
    rmSync(join(options.root, EXECS), { recursive: true, force: true });
    this.#exits = new ExitFiles(join(options.root, 'exits'), options.clock);
    this.#temporaryPath = join(options.root, 'tmp');
    mkdirSync(this.#temporaryPath, { recursive: true, mode: 0o700 });
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
    signal?.throwIfAborted();
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
      undo.defer(() => this.#killMonitor(directory, containerId));
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
        exec: null,
      });
      const abort = (): void => void this.#killMonitor(directory, containerId);
      signal?.addEventListener('abort', abort, { once: true });
      try {
        const pid = await this.#reportedPid(started, directory, (said) => createFailure(said, programOf(bundlePath)));
        signal?.throwIfAborted();
        return this.#taskOf(containerId, runtime, directory, bundlePath, nature, pid);
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    });
  }

  exec(request: ExecRequest): Promise<{ readonly task: Task; readonly session: AttachSession | null }> {
    const { execId, containerId, runtime, process, terminal, stdin, attachFirst } = request;
    return Undo.guard(async (undo) => {
      const nature: TaskNature = { terminal, stdin, keepStdinOpen: false };
      const directory = new RunDirectory(join(this.#options.root, EXECS, execId));
      directory.create();
      undo.defer(() => directory.remove());
      const processPath = join(directory.path, 'process.json');
      writeFileSync(processPath, JSON.stringify(process), { mode: 0o600 });
      undo.defer(() => this.#killProcess(directory, containerId));
      undo.defer(() => this.#killMonitor(directory, containerId));
      const started = await this.#launch({
        runtime,
        containerId,
        unique: execId,
        bundlePath: directory.path,
        runPath: directory.path,
        exitsPath: null,
        logPath: null,
        ...nature,
        exec: { processPath, attachFirst },
      });
      undo.defer(() => started[Symbol.dispose]());
      const attachPoint = new AttachPoint(this.#options.kernel, directory.path, nature);
      const session = await sessionBeforeStart(started, attachPoint);
      if (session !== null) undo.defer(async () => session[Symbol.asyncDispose]());
      const pid = await this.#reportedPid(started, directory, (said) => execFailure(said, process.args[0] ?? null));
      const task = this.#execTaskOf(request, started, directory, attachPoint, pid);
      return { task, session };
    });
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
    return this.#taskOf(containerId, runtime, directory, bundlePath, nature, pid);
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

  async #reportedPid(
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

  #taskOf(
    containerId: ContainerId,
    runtime: OciRuntime,
    directory: RunDirectory,
    bundlePath: string,
    nature: TaskNature,
    pid: number,
  ): Task {
    const { kernel, clock, cgroups } = this.#options;
    const { process, monitor } = this.#handles(directory, containerId, pid, () =>
      isInCgroupOf(cgroups, pid, containerId),
    );
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
      attachPoint: new AttachPoint(kernel, bundlePath, nature),
      handedOver: handedOver.promise,
      lastWord: () => this.#exits.read(containerId),
      wasOomKilled: () => cgroup !== null && wasOomKilled(cgroups, cgroup),
      start: () => runtime.start(containerId),
      release: async () => {
        waiting[Symbol.dispose]();
        await runtime.delete(containerId, { force: true });
        this.#exits.remove(containerId);
      },
    });
  }

  #execTaskOf(
    request: ExecRequest,
    started: Launch,
    directory: RunDirectory,
    attachPoint: AttachPoint,
    pid: number,
  ): Task {
    const { clock } = this.#options;
    const { containerId, terminal, stdin } = request;
    const { process, monitor } = this.#handles(directory, containerId, pid, () => true);
    const handedOver = Promise.withResolvers<ExitNote>();
    // conmon's second message is the exit code; the pipe's end without one means that conmon was killed.
    const last = started.sync.next().then((report): ExitNote | null => {
      const note = report === null ? null : { exitCode: report.data, exitedAt: clock.now() };
      if (note !== null) handedOver.resolve(note);
      started[Symbol.dispose]();
      return note;
    });
    return new ConmonTask({
      clock,
      containerId,
      pid,
      process,
      monitor,
      directory,
      bundlePath: directory.path,
      nature: { terminal, stdin, keepStdinOpen: false },
      attachPoint,
      handedOver: handedOver.promise,
      lastWord: () => last,
      wasOomKilled: () => false,
      start: () => Promise.resolve(),
      release: () => Promise.resolve(),
    });
  }

  /** Handles on a monitored process and its monitor; null for what has ended. */
  #handles(
    directory: RunDirectory,
    id: ContainerId,
    pid: number,
    isOurs: () => boolean,
  ): { readonly process: ProcessHandle | null; readonly monitor: ProcessHandle | null } {
    const process = this.#held(pid, isOurs);
    try {
      return { process, monitor: this.#heldMonitor(directory, id) };
    } catch (error) {
      process?.[Symbol.dispose]();
      throw error;
    }
  }

  #heldMonitor(directory: RunDirectory, id: ContainerId): ProcessHandle | null {
    const pid = directory.monitorPid();
    return pid === null ? null : this.#held(pid, () => isMonitorOf(pid, id));
  }

  /** A handle on `pid` when it is (still) ours. Asked after the handle is there, the answer is about what it holds. */
  #held(pid: number, isOurs: () => boolean): ProcessHandle | null {
    const handle = this.#options.kernel.processes.open(pid);
    if (handle === null || isOurs()) return handle;
    handle[Symbol.dispose]();
    return null;
  }

  async #killMonitor(directory: RunDirectory, id: ContainerId): Promise<void> {
    using monitor = this.#heldMonitor(directory, id);
    if (monitor?.signal(SIGKILL) === true) await monitor.exited;
  }

  /** Ends an exec's process that nobody will know of. */
  #killProcess(directory: RunDirectory, id: ContainerId): void {
    const pid = directory.processPid();
    if (pid === null) return;
    using process = this.#held(pid, () => isInCgroupOf(this.#options.cgroups, pid, id));
    process?.signal(SIGKILL);
  }

  async #discard(directory: RunDirectory, id: ContainerId, runtime: OciRuntime): Promise<void> {
    await this.#killMonitor(directory, id);
    await runtime.delete(id, { force: true });
    this.#exits.remove(id);
    directory.remove();
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

/** True when the process lives in a cgroup that is named after the container; one that has just ended counts too. */
function isInCgroupOf(cgroups: CgroupHost, pid: number, id: ContainerId): boolean {
  const path = cgroupOfProcess(cgroups, pid);
  return path === null || path.includes(id);
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
