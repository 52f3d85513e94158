import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError, NotFoundError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { CapturedRun, Kernel } from '../kernel/kernel.ts';
import type { LinuxResources } from '../oci/runtime-spec.ts';
import type { CgroupHost } from './cgroups.ts';
import { checkpointArguments, checkpointFailure, obstacleToCheckpoints, type CheckpointPlace } from './checkpoints.ts';
import { deleteInProcess, hasState, knowsCompiledSeccomp, startByFifo, unlimitProcesses } from './crun-shortcuts.ts';
import { lastMessage, saysNotRunning, saysUnknownContainer, verbFailure } from './errors.ts';
import type { OciRuntime } from './runtime.ts';

/** What one runtime program is started with. */
export interface OciProgramOptions {
  readonly kernel: Pick<Kernel, 'processes'>;
  readonly name: string;
  readonly path: string;
  /** From `--add-runtime` / `runtimes` in daemon.json. */
  readonly extraArguments: readonly string[];
  /** Directory for the runtime's own state, of this engine alone. */
  readonly root: string;
  readonly cgroups: CgroupHost;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
}

/**
 * A runtime by its program, for crun, runc and whatever speaks their command line. With crun, start and delete are done
 * in process where its files are as known (crun-shortcuts.ts).
 */
export class OciProgram implements OciRuntime {
  readonly name: string;
  readonly program: OciRuntime['program'];
  readonly acceptsCompiledSeccomp: boolean;
  readonly readsNetwork: boolean;
  readonly #options: OciProgramOptions;
  readonly #isCrun: boolean;
  #version: Promise<string> | null = null;

  constructor(options: OciProgramOptions) {
    this.name = options.name;
    this.#options = options;
    this.#isCrun = /(^|\/)crun$/.test(options.path);
    this.readsNetwork = !/(^|\/)(crun|runc)$/.test(options.path);
    this.acceptsCompiledSeccomp = this.#isCrun && knowsCompiledSeccomp(options.path);
    const systemd = options.cgroupDriver === 'systemd' ? ['--systemd-cgroup'] : [];
    this.program = {
      path: options.path,
      extraArguments: options.extraArguments,
      globalArguments: ['--root', options.root, ...systemd, ...options.extraArguments],
    };
    mkdirSync(options.root, { recursive: true, mode: 0o700 });
  }

  /** First line of `--version`, such as `1.8.1`; `` when the program does not say. Asked once. */
  version(): Promise<string> {
    this.#version ??= this.#run(['--version'], { global: false }).then(
      ({ stdout }) => /version (\S+)/.exec(stdout)?.[1] ?? '',
      () => '',
    );
    return this.#version;
  }

  async start(id: ContainerId): Promise<void> {
    if (this.#isCrun && startByFifo(this.#stateDirectory(id))) return;
    await this.#verb('start', [id], id);
  }

  async kill(id: ContainerId, signal: number, options?: { readonly all?: boolean }): Promise<void> {
    const all = options?.all === true ? ['--all'] : [];
    const run = await this.#run(['kill', ...all, id, String(signal)]);
    if (run.code === 0) return;
    if (saysNotRunning(run.stderr) || saysUnknownContainer(run.stderr)) {
      throw new NotFoundError(`container ${id} is not running: ${lastMessage(run.stderr)}`);
    }
    throw verbFailure(this.name, 'kill', run.stderr);
  }

  async delete(id: ContainerId, options?: { readonly force?: boolean }): Promise<void> {
    if (this.#isCrun) {
      const state = this.#stateDirectory(id);
      if (!hasState(state)) return;
      const { cgroups } = this.#options;
      if (deleteInProcess(state, cgroups, (pid) => !existsSync(`/proc/${String(pid)}`))) return;
    }
    const force = options?.force === true ? ['--force'] : [];
    const run = await this.#run(['delete', ...force, id]);
    if (run.code !== 0 && !saysUnknownContainer(run.stderr)) throw verbFailure(this.name, 'delete', run.stderr);
  }

  async pause(id: ContainerId): Promise<void> {
    await this.#verb('pause', [id], id);
  }

  async resume(id: ContainerId): Promise<void> {
    await this.#verb('resume', [id], id);
  }

  async update(id: ContainerId, resources: LinuxResources): Promise<void> {
    const { pids, ...others } = resources;
    const isDone =
      this.#isCrun && pids?.limit === -1 && unlimitProcesses(this.#stateDirectory(id), this.#options.cgroups);
    const left = isDone ? others : resources;
    if (Object.keys(left).length === 0) return;
    await this.#verb('update', ['--resources', '-', id], id, JSON.stringify(left));
  }

  obstacleToCheckpoints(): Promise<string | null> {
    const { kernel, path } = this.#options;
    return obstacleToCheckpoints({
      runtimePath: path,
      environment: RUNTIME_ENV,
      run: (program, args) => kernel.processes.capture({ argv: [program, ...args], env: RUNTIME_ENV }),
    });
  }

  async checkpoint(
    id: ContainerId,
    place: CheckpointPlace,
    { leaveRunning }: { readonly leaveRunning: boolean },
  ): Promise<void> {
    const run = await this.#run(['checkpoint', ...checkpointArguments(place, leaveRunning), id]);
    if (run.code !== 0) throw new InternalError(checkpointFailure(run.stderr, place.workPath, 'checkpoint'));
  }

  async state(id: ContainerId): Promise<{ readonly ociStatus: string; readonly pid: number } | null> {
    const run = await this.#run(['state', id]);
    if (run.code !== 0) {
      if (saysUnknownContainer(run.stderr)) return null;
      throw verbFailure(this.name, 'state', run.stderr);
    }
    const { status, pid } = JSON.parse(run.stdout) as { status: string; pid: number };
    return { ociStatus: status, pid };
  }

  #stateDirectory(id: ContainerId): string {
    return join(this.#options.root, id);
  }

  async #verb(verb: string, args: readonly string[], id: ContainerId, stdin?: string): Promise<void> {
    const run = await this.#run([verb, ...args], stdin === undefined ? {} : { stdin });
    if (run.code === 0) return;
    if (saysUnknownContainer(run.stderr)) throw new NotFoundError(`the runtime does not know container ${id}`);
    throw verbFailure(this.name, verb, run.stderr);
  }

  #run(
    args: readonly string[],
    options: { readonly global?: boolean; readonly stdin?: string } = {},
  ): Promise<CapturedRun> {
    const globalArguments = options.global === false ? [] : this.program.globalArguments;
    const { stdin } = options;
    return this.#options.kernel.processes.capture(
      { argv: [this.program.path, ...globalArguments, ...args], env: RUNTIME_ENV },
      stdin === undefined ? {} : { stdin },
    );
  }
}

/** Runtimes look for helpers (newuidmap, hooks) by PATH and need nothing else of ours. */
export const RUNTIME_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};
