/** Containers in memory, with the facade's verbs and Docker's texts: what the REST front is tested against. */
import { openSync } from 'node:fs';
import { newId, type ContainerId, type ExecId } from '../../src/base/ids.ts';
import type { Clock } from '../../src/base/clock.ts';
import { ConflictError, InternalError, InvalidArgumentError, NotFoundError } from '../../src/base/errors.ts';
import type {
  Attachment,
  AttachOptions,
  CommitOptions,
  ContainerChange,
  Containers,
  ContainerState,
  ContainerUsage,
  ContainerView,
  EngineEvent,
  ExecSpec,
  ExecView,
  HealthView,
  ExtractOptions,
  Images,
  LogRecord,
  LogsOptions,
  LogsView,
  OutputSink,
  OutputStream,
  PathArchive,
  PathStat,
  ProcessTable,
  TreeChange,
  UsagePair,
  WaitCondition,
  WaitResult,
} from '../../src/engine/index.ts';
import { membershipsOf } from '../../src/engine/containers/membership.ts';
import type { EndpointWish } from '../../src/engine/network/types.ts';
import { updatedResources } from '../../src/engine/containers/resources/update.ts';
import type { ContainerUpdate } from '../../src/engine/containers/spec-types.ts';
import type { ImageId } from '../../src/engine/oci/digest.ts';
import { startFakeProcess, type FakeProcess } from './fake-process.ts';

interface Fake {
  view: ContainerView;
  process: FakeProcess | null;
  readonly log: LogRecord[];
  readonly sinks: Set<OutputSink>;
  readonly waiters: { readonly condition: WaitCondition; readonly settle: (result: WaitResult) => void }[];
  pendingStdin: ((process: FakeProcess) => void)[];
  ended: PromiseWithResolvers<void>;
}

interface FakeExec {
  view: ExecView;
}

type Publish = (event: Omit<EngineEvent, 'time'>) => void;

export class FakeContainers implements Containers {
  readonly #images: Pick<Images, 'get'>;
  readonly #clock: Clock;
  readonly #publish: Publish;
  #all: Fake[] = [];
  readonly #execs = new Map<string, FakeExec>();
  /** Sizes given to `resize`, in order. */
  readonly resizes: { readonly height: number; readonly width: number }[] = [];
  /** Signals given to `signalExec`, in order. */
  readonly execSignals: string[] = [];
  /** Names by container. */
  readonly checkpoints = new Map<string, readonly string[]>();
  readonly #watchers = new Set<(change: ContainerChange) => void>();

  constructor(images: Pick<Images, 'get'>, clock: Clock, publish: Publish) {
    this.#images = images;
    this.#clock = clock;
    this.#publish = publish;
  }

  get(ref: string): ContainerView {
    return this.#find(ref).view;
  }

  list(): readonly ContainerView[] {
    return this.#all.map(({ view }) => view).reverse();
  }

  async create({ name, spec, frontDocument }: Parameters<Containers['create']>[0]) {
    const image = this.#images.get(spec.image);
    const id = newId<ContainerId>();
    const wanted = (name ?? `fake_${id.slice(0, 6)}`).replace(/^\//, '');
    const same = this.#all.find(({ view }) => view.name === wanted);
    if (same !== undefined) {
      throw new ConflictError(
        `Conflict. The container name "/${wanted}" is already in use by container "${same.view.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    const argv = [...(spec.entrypoint ?? []), ...(spec.command ?? image.config.config?.Cmd ?? [])];
    const [path, ...args] = argv;
    if (path === undefined) throw new InvalidArgumentError('no command specified');
    const view: ContainerView = {
      id,
      name: wanted,
      createdAt: this.#clock.now(),
      spec: { ...spec, hostname: spec.hostname === '' ? id.slice(0, 12) : spec.hostname, command: argv },
      frontDocument,
      imageId: image.id,
      path,
      args,
      state: { status: 'created', error: '', exitCode: 0 },
      health: null,
      mounts: [],
      networks: membershipsOf(spec.host),
      endpoints: [],
      netnsPath: null,
      hostnamePath: '',
      hostsPath: '',
      resolvConfPath: '',
      logPath: null,
      runtime: 'crun',
      logDriver: 'json-file',
      logOptions: {},
      storageDriver: 'overlay2',
      ipcMode: spec.host.ipcMode ?? { kind: 'private' },
      cgroupnsMode: spec.host.cgroupnsMode ?? { kind: 'host' },
      execIds: [],
      cgroupPath: null,
      unit: null,
    };
    this.#all.push({
      view,
      process: null,
      log: [],
      sinks: new Set(),
      waiters: [],
      pendingStdin: [],
      ended: Promise.withResolvers(),
    });
    this.#change({ kind: 'added', containerId: id });
    this.#tell(view, 'create');
    return { id, warnings: [] };
  }

  async createCheckpoint(ref: string, { name }: Parameters<Containers['createCheckpoint']>[1]): Promise<void> {
    this.checkpoints.set(this.#running(ref).view.id, [...this.listCheckpoints(ref), name]);
  }

  listCheckpoints(ref: string): readonly string[] {
    return this.checkpoints.get(this.#find(ref).view.id) ?? [];
  }

  removeCheckpoint(ref: string, name: string): void {
    this.checkpoints.set(
      this.#find(ref).view.id,
      this.listCheckpoints(ref).filter((one) => one !== name),
    );
  }

  async start(ref: string): Promise<boolean> {
    const fake = this.#find(ref);
    if (fake.process !== null) return false;
    // Whoever attached before the first start waits for the end of that run.
    if (fake.view.state.status === 'exited') fake.ended = Promise.withResolvers();
    const sink: OutputSink = { write: (stream, chunk) => this.#output(fake, stream, chunk) };
    const process = startFakeProcess([fake.view.path, ...fake.view.args], sink);
    fake.process = process;
    for (const give of fake.pendingStdin) give(process);
    const startedAt = this.#clock.now();
    this.#become(fake, { status: 'running', pid: 4242, startedAt, restartCount: 0, lastExit: null });
    this.#tell(fake.view, 'start');
    void process.exited.then((exitCode) => {
      fake.process = null;
      const lastExit = { exitCode, startedAt, finishedAt: this.#clock.now(), oomKilled: false, error: '' };
      this.#become(fake, { status: 'exited', restartCount: 0, lastExit });
      this.#tell(fake.view, 'die', { exitCode: String(exitCode) });
      this.#settle(fake, (condition) => condition !== 'removed', exitCode);
      fake.ended.resolve();
      if (fake.view.spec.host.autoRemove) void this.remove(fake.view.id, { force: true, volumes: true });
    });
    return true;
  }

  async stop(ref: string): Promise<boolean> {
    const fake = this.#find(ref);
    if (fake.process === null) return false;
    fake.process.kill(143);
    await fake.ended.promise;
    return true;
  }

  async restart(ref: string): Promise<void> {
    await this.stop(ref);
    await this.start(ref);
  }

  async kill(ref: string, signal: string): Promise<void> {
    const fake = this.#find(ref);
    if (fake.process === null)
      throw new ConflictError(`cannot kill container: ${ref}: container ${fake.view.id} is not running`);
    this.#tell(fake.view, 'kill', { signal });
    fake.process.kill(137);
    await fake.ended.promise;
  }

  async pause(ref: string): Promise<void> {
    const fake = this.#running(ref);
    const { state } = fake.view;
    if (state.status === 'running') this.#become(fake, { ...state, status: 'paused' });
  }

  async unpause(ref: string): Promise<void> {
    const fake = this.#find(ref);
    const { state } = fake.view;
    if (state.status !== 'paused') throw new ConflictError(`Container ${fake.view.id} is not paused`);
    this.#become(fake, { ...state, status: 'running' });
  }

  async rename(ref: string, name: string): Promise<void> {
    if (name === '') throw new InvalidArgumentError('Neither old nor new names may be empty');
    const fake = this.#find(ref);
    fake.view = { ...fake.view, name };
    this.#change({ kind: 'changed', containerId: fake.view.id });
    this.#tell(fake.view, 'rename');
  }

  async connectNetwork(ref: string, network: string, wish: EndpointWish): Promise<void> {
    const fake = this.#find(ref);
    fake.view = { ...fake.view, networks: new Map([...fake.view.networks, [network, wish]]) };
    this.#change({ kind: 'changed', containerId: fake.view.id });
  }

  async disconnectNetwork(ref: string, network: string): Promise<void> {
    const fake = this.#find(ref);
    fake.view = { ...fake.view, networks: new Map([...fake.view.networks].filter(([name]) => name !== network)) };
    this.#change({ kind: 'changed', containerId: fake.view.id });
  }

  async update(ref: string, change: ContainerUpdate): Promise<{ readonly warnings: readonly string[] }> {
    const fake = this.#find(ref);
    const { host } = fake.view.spec;
    const restartPolicy = change.restartPolicy ?? host.restartPolicy;
    const resources = updatedResources(host.resources, change.resources);
    fake.view = { ...fake.view, spec: { ...fake.view.spec, host: { ...host, resources, restartPolicy } } };
    this.#change({ kind: 'changed', containerId: fake.view.id });
    this.#tell(fake.view, 'update');
    return { warnings: [] };
  }

  linkNames(): ReadonlyMap<ContainerId, readonly string[]> {
    return new Map();
  }

  removeLink(name: string): void {
    throw new NotFoundError(`No such container: ${name}`);
  }

  async remove(ref: string, { force }: { readonly force: boolean; readonly volumes: boolean }): Promise<void> {
    const fake = this.#find(ref);
    if (fake.process !== null) {
      if (!force) throw new ConflictError(`cannot remove container "/${fake.view.name}": container is running`);
      await this.kill(ref, 'SIGKILL');
    }
    if (!this.#all.includes(fake)) return;
    this.#all = this.#all.filter((other) => other !== fake);
    this.#change({ kind: 'removed', containerId: fake.view.id });
    const { state } = fake.view;
    this.#settle(fake, () => true, state.status === 'exited' ? state.lastExit.exitCode : 0);
    this.#tell(fake.view, 'destroy');
  }

  wait(ref: string, condition: WaitCondition, signal: AbortSignal): { readonly result: Promise<WaitResult> } {
    const fake = this.#find(ref);
    const { state } = fake.view;
    if (condition === 'not-running' && fake.process === null) {
      const exitCode = state.status === 'exited' ? state.lastExit.exitCode : 0;
      return { result: Promise.resolve({ exitCode, error: null }) };
    }
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
    fake.waiters.push({ condition, settle: resolve });
    signal.addEventListener('abort', () => reject(signal.reason as Error));
    return { result: promise };
  }

  /** Lets its health check find something. */
  becomeHealth(ref: string, health: HealthView): void {
    const fake = this.#find(ref);
    fake.view = { ...fake.view, health };
    this.#change({ kind: 'changed', containerId: fake.view.id });
    if (health.status === 'healthy') this.#settle(fake, (condition) => condition === 'healthy', 0);
    this.#tell(fake.view, `health_status: ${health.status}`);
  }

  async attach(ref: string, options: AttachOptions): Promise<Attachment> {
    const fake = this.#find(ref);
    return {
      terminal: fake.view.spec.terminal,
      run: async ({ stdin, output, signal }) => {
        if (options.logs) for (const { stream, data } of fake.log) await output.write(stream, data);
        if (!options.stream || fake.view.state.status === 'exited') return;
        if (stdin !== null) {
          if (fake.process !== null) fake.process.feed(stdin);
          else fake.pendingStdin.push((process) => process.feed(stdin));
        }
        fake.sinks.add(output);
        const gone = new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve());
        });
        await Promise.race([fake.ended.promise, gone]);
        fake.sinks.delete(output);
      },
    };
  }

  async resize(ref: string, size: { readonly height: number; readonly width: number }): Promise<void> {
    this.#running(ref);
    this.resizes.push(size);
  }

  logs(ref: string, options: LogsOptions): LogsView {
    const fake = this.#find(ref);
    const wanted = (record: LogRecord): boolean => options[record.stream];
    async function* read(): AsyncGenerator<readonly LogRecord[]> {
      const kept = fake.log.filter(wanted);
      yield options.tail === null ? kept : kept.slice(kept.length - Math.min(options.tail, kept.length));
      if (options.follow && fake.process !== null) {
        const before = fake.log.length;
        const gone = new Promise<void>((resolve) => {
          options.signal.addEventListener('abort', () => resolve());
        });
        await Promise.race([fake.ended.promise, gone]);
        yield fake.log.slice(before).filter(wanted);
      }
    }
    return { terminal: fake.view.spec.terminal, batches: read() };
  }

  async createExec(ref: string, spec: ExecSpec): Promise<ExecId> {
    const fake = this.#running(ref);
    const id = newId<ExecId>();
    const idle = { detachSequence: Buffer.alloc(0), running: false, exitCode: null, pid: 0 };
    const view: ExecView = { id, containerId: fake.view.id, spec, ...idle };
    this.#execs.set(id, { view });
    this.#change({ kind: 'exec-added', containerId: fake.view.id, execId: id });
    return id;
  }

  getExec(id: string): ExecView {
    return this.#exec(id).view;
  }

  async startExecDetached(id: string): Promise<void> {
    const exec = this.#exec(id);
    this.#becomeExec(exec, { exitCode: 0 });
  }

  async startExec(id: string): Promise<Attachment> {
    const exec = this.#exec(id);
    if (exec.view.exitCode !== null) throw new ConflictError(`exec command ${id} has already run`);
    return {
      terminal: exec.view.spec.terminal,
      run: async ({ stdin, output }) => {
        this.#becomeExec(exec, { running: true, pid: 4343 });
        const process = startFakeProcess(exec.view.spec.command, output);
        if (stdin !== null) process.feed(stdin);
        this.#becomeExec(exec, { running: false, exitCode: await process.exited });
      },
    };
  }

  async resizeExec(id: string, size: { readonly height: number; readonly width: number }): Promise<void> {
    this.#exec(id);
    this.resizes.push(size);
  }

  async signalExec(id: string, signal: string): Promise<void> {
    if (!this.#exec(id).view.running) throw new ConflictError(`exec process is not running: ${id}`);
    this.execSignals.push(signal);
  }

  /** What `statPath` and `archivePath` find, by path. */
  readonly paths = new Map<string, { readonly stat: PathStat; readonly chunks: readonly Buffer[] }>();
  /** What `extractTo` was given, in order. */
  readonly extracted: { readonly path: string; readonly bytes: Buffer; readonly options: ExtractOptions }[] = [];

  async statPath(ref: string, path: string): Promise<PathStat> {
    return this.#path(ref, path).stat;
  }

  async archivePath(ref: string, path: string): Promise<PathArchive> {
    const { stat, chunks } = this.#path(ref, path);
    return {
      stat,
      chunks: (async function* () {
        yield* chunks;
      })(),
    };
  }

  async extractTo(ref: string, path: string, { tar, options }: Parameters<Containers['extractTo']>[2]): Promise<void> {
    this.#find(ref);
    const bytes = Buffer.concat((await tar.toArray()) as Buffer[]);
    this.extracted.push({ path, bytes, options });
  }

  #path(ref: string, path: string): { readonly stat: PathStat; readonly chunks: readonly Buffer[] } {
    this.#find(ref);
    const found = this.paths.get(path);
    if (found === undefined) throw new NotFoundError(`Could not find the file ${path} in container ${ref}`);
    return found;
  }

  /** What `usage` gives of those that run. */
  used: ContainerUsage | null = null;

  /** What `top` shows of those that run. */
  table: ProcessTable = { titles: ['PID', 'CMD'], rows: [['1', 'sh -c x']] };

  async top(ref: string, psArguments: string): Promise<ProcessTable> {
    this.#running(ref);
    if (psArguments === '--nix') throw new InternalError('ps: error: unknown gnu long option');
    return this.table;
  }

  async usagePair(ref: string): Promise<UsagePair | null> {
    const current = await this.usage(ref);
    return current === null ? null : { previous: current, current };
  }

  /** Two samples, then the container's end. */
  async *followUsage(ref: string): AsyncGenerator<ContainerUsage | null, void, void> {
    yield await this.usage(ref);
    yield await this.usage(ref);
  }

  async usage(ref: string): Promise<ContainerUsage | null> {
    return this.#find(ref).process === null ? null : this.used;
  }

  openRoot(ref: string): number {
    this.#running(ref);
    return openSync('/', 'r');
  }

  findProgram(ref: string, paths: readonly string[]): string | null {
    this.#running(ref);
    return paths.find((path) => path === '/bin/sh') ?? null;
  }

  watch(listener: (change: ContainerChange) => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => void this.#watchers.delete(listener) };
  }

  async sizes(ref: string) {
    this.#find(ref);
    return { writableBytes: 10, rootBytes: 1000 };
  }

  /** What `commit` was asked for, in order. */
  readonly commits: (CommitOptions & { readonly containerId: ContainerId })[] = [];

  async commit(ref: string, options: CommitOptions) {
    this.commits.push({ ...options, containerId: this.#find(ref).view.id });
    return `sha256:${'c'.repeat(64)}` as ImageId;
  }

  async *export(ref: string) {
    yield Buffer.from(`tar of ${this.#find(ref).view.id}`);
  }

  async changes(ref: string): Promise<readonly TreeChange[]> {
    return this.#find(ref).view.name === 'unchanged'
      ? []
      : [
          { path: '/etc', kind: 'modified' },
          { path: '/etc/new', kind: 'added' },
          { path: '/etc/old', kind: 'deleted' },
        ];
  }

  async describeStorage(ref: string) {
    this.#find(ref);
    return { MergedDir: '/merged', UpperDir: '/upper' };
  }

  #find(ref: string): Fake {
    const name = ref.replace(/^\//, '');
    const exact = this.#all.find(({ view }) => view.id === ref || view.name === name);
    const byPrefix = this.#all.filter(({ view }) => ref.length > 0 && view.id.startsWith(ref));
    const fake = exact ?? byPrefix[0];
    if (fake === undefined) throw new NotFoundError(`No such container: ${ref}`);
    if (exact === undefined && byPrefix.length > 1) {
      throw new InvalidArgumentError(`multiple IDs found with provided prefix: ${ref}`);
    }
    return fake;
  }

  #running(ref: string): Fake {
    const fake = this.#find(ref);
    if (fake.process === null) throw new ConflictError(`container ${fake.view.id} is not running`);
    return fake;
  }

  #exec(id: string): FakeExec {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw new NotFoundError(`No such exec instance: ${id}`);
    return exec;
  }

  #become(fake: Fake, state: ContainerState): void {
    fake.view = { ...fake.view, state };
    this.#change({ kind: 'changed', containerId: fake.view.id });
  }

  #becomeExec(exec: FakeExec, change: Partial<ExecView>): void {
    exec.view = { ...exec.view, ...change };
    this.#change({ kind: 'exec-changed', containerId: exec.view.containerId, execId: exec.view.id });
  }

  #change(change: ContainerChange): void {
    for (const watcher of [...this.#watchers]) watcher(change);
  }

  async #output(fake: Fake, stream: OutputStream, chunk: Uint8Array): Promise<void> {
    fake.log.push({ stream, time: this.#clock.now(), data: chunk, partial: false });
    for (const sink of fake.sinks) await sink.write(stream, chunk);
  }

  #settle(fake: Fake, isMet: (condition: WaitCondition) => boolean, exitCode: number): void {
    for (const { condition, settle } of fake.waiters) if (isMet(condition)) settle({ exitCode, error: null });
  }

  #tell(view: ContainerView, action: string, more: Readonly<Record<string, string>> = {}): void {
    const attributes = { ...view.spec.labels, image: view.spec.image, name: view.name, ...more };
    this.#publish({ type: 'container', action, actorId: view.id, attributes });
  }
}
