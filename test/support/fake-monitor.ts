import { Writable } from 'node:stream';
import type { Clock } from '../../src/base/clock.ts';
import { ConflictError, NotFoundError } from '../../src/base/errors.ts';
import type { ContainerId, ExecId } from '../../src/base/ids.ts';
import type { OutputSink, OutputStream } from '../../src/engine/oci/streams.ts';
import type { LinuxResources } from '../../src/engine/oci/runtime-spec.ts';
import type {
  AdoptedExec,
  AttachSession,
  ExecRequest,
  Monitor,
  Task,
  TaskExit,
  TaskRequest,
} from '../../src/engine/runtime/monitor.ts';
import type { CheckpointPlace } from '../../src/engine/runtime/checkpoints.ts';
import type { OciRuntime } from '../../src/engine/runtime/runtime.ts';

/** What a faked process does once it is started. */
export type Program =
  /** Writes and ends. */
  | { readonly kind: 'say'; readonly output: readonly (readonly [OutputStream, string])[]; readonly exitCode: number }
  /** Copies stdin to stdout, and ends with 0 at stdin's end. */
  | { readonly kind: 'echo' }
  /** Does nothing until a signal ends it. */
  | { readonly kind: 'wait' };

/** Counts the calls of a fake, records them, and fails the one that is asked for. */
export class CallScript {
  readonly calls: string[] = [];
  #failures = new Map<number, Error>();
  #brokenFrom: { readonly call: number; readonly error: Error } | null = null;

  /** Lets the `n`-th call from now on (1 is the next) throw. */
  failNth(n: number, error: Error = new Error(`injected failure of call ${String(n)}`)): void {
    this.#failures.set(this.calls.length + n, error);
  }

  /** Lets the `n`-th call from now on and all after it throw, until {@link CallScript.heal}: a process that is killed there. */
  failFrom(n: number, error: Error): void {
    this.#brokenFrom = { call: this.calls.length + n, error };
  }

  /** Lets no call throw any more. */
  heal(): void {
    this.#failures.clear();
    this.#brokenFrom = null;
  }

  /** To be called first in each faked call. */
  step(name: string): void {
    this.calls.push(name);
    const broken = this.#brokenFrom;
    if (broken !== null && this.calls.length >= broken.call) throw broken.error;
    const failure = this.#failures.get(this.calls.length);
    if (failure !== undefined) throw failure;
  }
}

/**
 * A monitor without processes. `programOf` says what each one does; {@link FakeMonitor.taskOf} reaches a container's
 * task, to end it as if from outside. `restart()` gives a monitor that can only `adopt` what this one holds.
 */
export class FakeMonitor implements Monitor {
  readonly script: CallScript;
  programOf: (request: TaskRequest | ExecRequest) => Program;
  readonly #clock: Clock;
  readonly #tasks: Map<ContainerId, FakeTask>;
  readonly #execs: Map<ExecId, AdoptedExec>;
  #nextPid = 100_000;

  constructor(
    clock: Clock,
    options: { readonly programOf?: FakeMonitor['programOf']; readonly script?: CallScript } = {},
    tasks = new Map<ContainerId, FakeTask>(),
    execs = new Map<ExecId, AdoptedExec>(),
  ) {
    this.#clock = clock;
    this.script = options.script ?? new CallScript();
    this.programOf = options.programOf ?? (() => ({ kind: 'wait' }));
    this.#tasks = tasks;
    this.#execs = execs;
  }

  async create(request: TaskRequest): Promise<Task> {
    this.script.step(`create ${request.containerId}`);
    request.signal?.throwIfAborted();
    const task = this.#make(request, request.keepStdinOpen);
    this.#tasks.set(request.containerId, task);
    task.onDelete = () => this.#tasks.delete(request.containerId);
    return task;
  }

  async exec(request: ExecRequest): Promise<{ readonly task: Task; readonly session: AttachSession | null }> {
    this.script.step(`exec ${request.execId}`);
    const task = this.#make(request, false);
    const session = request.attachFirst ? task.join() : null;
    task.run();
    const { execId, containerId, note = null } = request;
    if (note !== null) this.#execs.set(execId, { execId, containerId, note, task });
    task.onDelete = () => this.#execs.delete(execId);
    return { task, session };
  }

  async adoptExecs(): Promise<readonly AdoptedExec[]> {
    this.script.step('adoptExecs');
    return [...this.#execs.values()];
  }

  async adopt(containerId: ContainerId): Promise<Task | null> {
    this.script.step(`adopt ${containerId}`);
    return this.#tasks.get(containerId) ?? null;
  }

  /** What a daemon that comes up again has: the same processes, nothing else. */
  restart(): FakeMonitor {
    return new FakeMonitor(this.#clock, { programOf: this.programOf, script: this.script }, this.#tasks, this.#execs);
  }

  /** Every process is gone, and what was kept of it with it, as after a reboot. */
  forgetAll(): void {
    this.#tasks.clear();
  }

  /** The task of a container; throws when there is none. */
  taskOf(id: ContainerId): FakeTask {
    const task = this.#tasks.get(id);
    if (task === undefined) throw new Error(`no task of ${id}`);
    return task;
  }

  /** Containers that have a process or the remains of one: what a test expects to be empty at its end. */
  get held(): readonly ContainerId[] {
    return [...this.#tasks.keys()];
  }

  #make(request: TaskRequest | ExecRequest, keepStdinOpen: boolean): FakeTask {
    return new FakeTask({
      containerId: request.containerId,
      pid: this.#nextPid++,
      program: this.programOf(request),
      clock: this.#clock,
      script: this.script,
      stdin: request.stdin,
      keepStdinOpen,
    });
  }
}

interface FakeTaskParts {
  readonly containerId: ContainerId;
  readonly pid: number;
  readonly program: Program;
  readonly clock: Clock;
  readonly script: CallScript;
  readonly stdin: boolean;
  readonly keepStdinOpen: boolean;
}

/** A process that is none. */
export class FakeTask implements Task {
  readonly containerId: ContainerId;
  readonly pid: number;
  readonly exit: Promise<TaskExit>;
  /** Signals it was sent. */
  readonly signals: number[] = [];
  /** Sizes its terminal was given. */
  readonly sizes: { readonly height: number; readonly width: number }[] = [];
  /** Signals it takes without ending. */
  readonly ignoredSignals = new Set<number>();
  onDelete: () => void = () => undefined;
  readonly #parts: FakeTaskParts;
  readonly #ended = Promise.withResolvers<TaskExit>();
  readonly #sessions = new Set<FakeSession>();
  #hasEnded = false;
  #hasStarted = false;

  constructor(parts: FakeTaskParts) {
    this.#parts = parts;
    this.containerId = parts.containerId;
    this.pid = parts.pid;
    this.exit = this.#ended.promise;
  }

  async start(): Promise<void> {
    this.#parts.script.step(`start ${this.containerId}`);
    if (!this.#hasStarted) this.run();
  }

  async attach(): Promise<AttachSession> {
    this.#parts.script.step(`attach ${this.containerId}`);
    return this.join();
  }

  async resize(size: { readonly height: number; readonly width: number }): Promise<void> {
    this.#parts.script.step(`resize ${this.containerId}`);
    this.sizes.push(size);
  }

  signal(signal: number): boolean {
    this.#parts.script.step(`signal ${this.containerId} ${String(signal)}`);
    if (this.#hasEnded) return false;
    this.signals.push(signal);
    if (signal !== 0 && !this.ignoredSignals.has(signal)) this.end({ exitCode: 128 + signal });
    return true;
  }

  async reopenLog(): Promise<void> {
    this.#parts.script.step(`reopenLog ${this.containerId}`);
  }

  async delete(): Promise<void> {
    this.#parts.script.step(`delete ${this.containerId}`);
    this.onDelete();
  }

  /** Ends the process, as the kernel would. */
  end(exit: Partial<TaskExit> = {}): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const session of this.#sessions) session.finish();
    this.#ended.resolve({ exitCode: 0, exitedAt: this.#parts.clock.now(), oomKilled: false, error: null, ...exit });
  }

  /** Lets the process write. */
  async write(stream: OutputStream, text: string): Promise<void> {
    for (const session of this.#sessions) await session.take(stream, text);
  }

  /** Lets the process begin; `start` without being counted. */
  run(): void {
    this.#hasStarted = true;
    void this.#run();
  }

  /** `attach` without being counted. */
  join(): AttachSession {
    if (this.#hasEnded) throw new ConflictError('the process has ended');
    const session = new FakeSession({
      onInput: async (text) => {
        if (this.#parts.stdin && this.#parts.program.kind === 'echo') await this.write('stdout', text);
      },
      onInputEnd: () => {
        const { stdin, keepStdinOpen, program } = this.#parts;
        if (stdin && !keepStdinOpen && program.kind === 'echo') this.end();
      },
      onLeave: (left) => {
        this.#sessions.delete(left);
      },
    });
    this.#sessions.add(session);
    return session;
  }

  async #run(): Promise<void> {
    const { program } = this.#parts;
    if (program.kind !== 'say') return;
    for (const [stream, text] of program.output) await this.write(stream, text);
    this.end({ exitCode: program.exitCode });
  }
}

class FakeSession implements AttachSession {
  readonly stdin: Writable;
  readonly #leave: () => void;
  readonly #piped = Promise.withResolvers<OutputSink | null>();
  readonly #done = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #last: Promise<void> = Promise.resolve();

  constructor(hooks: {
    readonly onInput: (text: string) => Promise<void>;
    readonly onInputEnd: () => void;
    readonly onLeave: (session: FakeSession) => void;
  }) {
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, callback) =>
        void hooks.onInput(chunk.toString()).then(() => callback(), callback),
      final: (callback) => {
        hooks.onInputEnd();
        callback();
      },
    });
    this.#done.promise.catch(() => undefined);
    this.#leave = () => hooks.onLeave(this);
  }

  pipe(sink: OutputSink): Promise<void> {
    this.#piped.resolve(sink);
    return this.#done.promise;
  }

  /** Output waits until it is known where to. A sink that fails ends this session only. */
  take(stream: OutputStream, text: string): Promise<void> {
    const delivered = this.#last.then(async () => (await this.#piped.promise)?.write(stream, Buffer.from(text)));
    this.#last = Promise.race([delivered, this.#gone.promise]).catch((error: unknown) => {
      this.#done.reject(error);
      this.#leave();
    });
    return this.#last;
  }

  finish(): void {
    void this.#last.then(() => this.#done.resolve());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#piped.resolve(null);
    this.#gone.resolve();
    this.#leave();
    this.finish();
    this.stdin.destroy();
  }
}

/** A runtime without processes, for the calls that do not go through the monitor. */
export class FakeRuntime implements OciRuntime {
  readonly name: string;
  readonly program = { path: '/nonexistent/runtime', globalArguments: [] };
  readonly acceptsCompiledSeccomp = false;
  readsNetwork = false;
  readonly script: CallScript;
  /** What it answers to {@link FakeRuntime.obstacleToCheckpoints}. */
  obstacle: string | null = null;
  readonly updates = new Map<ContainerId, LinuxResources>();
  readonly #states = new Map<ContainerId, { readonly ociStatus: string; readonly pid: number }>();

  constructor(name = 'crun', script = new CallScript()) {
    this.name = name;
    this.script = script;
  }

  /** Makes a container known to it. */
  set(id: ContainerId, ociStatus: string, pid = 1): void {
    this.#states.set(id, { ociStatus, pid });
  }

  async start(id: ContainerId): Promise<void> {
    this.script.step(`start ${id}`);
    this.set(id, 'running');
  }

  async kill(id: ContainerId, signal: number): Promise<void> {
    this.script.step(`kill ${id} ${String(signal)}`);
    if (!this.#states.has(id)) throw new NotFoundError(`container ${id} is not running`);
  }

  async delete(id: ContainerId): Promise<void> {
    this.script.step(`delete ${id}`);
    this.#states.delete(id);
  }

  async pause(id: ContainerId): Promise<void> {
    this.script.step(`pause ${id}`);
    this.set(id, 'paused');
  }

  async resume(id: ContainerId): Promise<void> {
    this.script.step(`resume ${id}`);
    this.set(id, 'running');
  }

  async obstacleToCheckpoints(): Promise<string | null> {
    return this.obstacle;
  }

  async checkpoint(
    id: ContainerId,
    { imagePath }: CheckpointPlace,
    { leaveRunning }: { readonly leaveRunning: boolean },
  ): Promise<void> {
    this.script.step(`checkpoint ${id} ${imagePath} ${leaveRunning ? 'running' : 'ended'}`);
  }

  async update(id: ContainerId, resources: LinuxResources): Promise<void> {
    this.script.step(`update ${id}`);
    this.updates.set(id, resources);
  }

  async state(id: ContainerId): Promise<{ readonly ociStatus: string; readonly pid: number } | null> {
    this.script.step(`state ${id}`);
    return this.#states.get(id) ?? null;
  }
}
