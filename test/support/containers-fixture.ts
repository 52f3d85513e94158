import { createCdiDevices } from '../../src/engine/runtime/cdi/index.ts';
/**
 * The containers room as a whole on fakes: memory for kernel, monitor, network and snapshots, a stopped clock, a database
 * in memory, real files below a temporary directory. Every effect goes through one {@link CallScript}, so that a test
 * can fail the n-th one, whichever it is.
 *
 * ```ts
 * await using engine = await ContainersFixture.open();
 * const id = await engine.create({ command: ['sh'] });
 * await engine.room.start(id);
 * engine.monitor.taskOf(id).end({ exitCode: 3 });
 * await engine.until(() => engine.status(id) === 'exited');
 * expect(engine.leftovers()).toEqual([]);
 * ```
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConflictError, NotFoundError } from '../../src/base/errors.ts';
import { newId, type ContainerId, type EndpointId, type NetworkId } from '../../src/base/ids.ts';
import { silentLogger, type Logger } from '../../src/base/logger.ts';
import { createContainers, type EngineContainers } from '../../src/engine/containers/index.ts';
import type { ContainersDependencies, ContainersOptions } from '../../src/engine/containers/options.ts';
import type { ClientStreams, ContainerView, ExecSpec } from '../../src/engine/containers/types.ts';
import type { EngineEvent } from '../../src/engine/events/types.ts';
import type { CommitRequest, ImageView } from '../../src/engine/images/types.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { jsonFileLogDriver } from '../../src/engine/logging/json-file/driver.ts';
import { noneLogDriver } from '../../src/engine/logging/none/driver.ts';
import type { SandboxRequest, SandboxState } from '../../src/engine/network/types.ts';
import type { ImageId } from '../../src/engine/oci/digest.ts';
import type { ImageRunConfig } from '../../src/engine/oci/image-spec.ts';
import type { Mount } from '../../src/engine/oci/mount.ts';
import { createContainerRows } from '../../src/engine/state/containers.ts';
import { Database } from '../../src/engine/state/database.ts';
import type { HeldDriver, SnapshotInfo } from '../../src/engine/storage/driver.ts';
import type { Volumes } from '../../src/engine/volumes/driver.ts';
import { createVolumes } from '../../src/engine/volumes/index.ts';
import { createVolumeMounter } from '../../src/engine/volumes/mounter.ts';
import { LocalVolumeDriver } from '../../src/engine/volumes/local/driver.ts';
import { exampleSpec, type SpecChange } from './container-spec.ts';
import { emptyContents } from './empty-contents.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeKernel } from './fake-kernel.ts';
import { secretsInMemory } from './fake-secrets.ts';
import { CallScript, FakeMonitor, FakeRuntime } from './fake-monitor.ts';

/** After this long what has not happened will not. */
const PATIENCE_MS = 20_000;
/** Turns of the event loop without a file being read or written, after which nothing is under way. */
const QUIET_TURNS = 20;

const LIMITS: ContainersOptions['limits'] = {
  memory: true,
  swap: true,
  memoryReservation: true,
  kernelMemory: true,
  kernelMemoryTcp: true,
  cpuRealtime: true,
  cpuCfs: true,
  cpuShares: true,
  cpuset: true,
  pids: true,
  oomKillDisable: true,
  memorySwappiness: true,
  blkioWeight: true,
  blkioWeightDevice: true,
  blkioReadBps: true,
  blkioWriteBps: true,
  blkioReadIops: true,
  blkioWriteIops: true,
  cgroupNamespaces: true,
  cpus: '0-3',
  memoryNodes: '0',
  ipv4Forwarding: true,
};

/** A daemon that was told nothing of user namespaces, on a host that has them. */
const NO_USERNS: ContainersOptions['userns'] = {
  byDefault: 'remap',
  remap: null,
  pool: { runs: [{ first: 500_000, count: 200_000 }], source: 'the pool of the test' },
  autoSize: 65_536,
  whyNot: () => null,
};

/** The room's options as on an ordinary host, with the given changes. */
export function exampleOptions(root: string, change: Partial<ContainersOptions> = {}): ContainersOptions {
  return {
    containersRoot: join(root, 'containers'),
    bundlesRoot: join(root, 'bundles'),
    hostCredentialsRoot: null,
    defaultRuntime: 'crun',
    defaultLogDriver: 'json-file',
    defaultLogOptions: {},
    cgroup: { version: '2', driver: 'cgroupfs', parent: '/docker' },
    defaultShmSizeBytes: 1 << 26,
    defaultIpcMode: 'private',
    defaultCgroupnsMode: 'private',
    defaultUlimits: [],
    userns: NO_USERNS,
    initPath: null,
    initByDefault: false,
    experimental: true,
    noNewPrivilegesByDefault: false,
    defaultStopTimeoutSeconds: 10,
    dns: ['192.0.2.53'],
    dnsSearch: [],
    dnsOptions: [],
    hostGatewayAddresses: [],
    capabilityMask: (1n << 41n) - 1n,
    hostPlatform: { os: 'linux', architecture: 'amd64' },
    hostname: 'host',
    cpuCount: 2,
    limits: LIMITS,
    stopContainersOnShutdown: true,
    shutdownTimeoutSeconds: 15,
    ...change,
  };
}

export interface FixtureOptions {
  readonly options?: Partial<ContainersOptions>;
  readonly imageConfig?: ImageRunConfig;
  readonly programOf?: FakeMonitor['programOf'];
}

/** Exec of `true` with output, without stdin. */
export function exampleExec(change: Partial<ExecSpec> = {}): ExecSpec {
  return {
    command: ['true'],
    terminal: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    env: [],
    user: '',
    workingDirectory: '',
    privileged: false,
    detachKeys: null,
    consoleSize: null,
    ...change,
  };
}

/** A client that remembers what it was sent. */
export class FakeClient implements ClientStreams {
  readonly stdin: ClientStreams['stdin'];
  readonly #gone = new AbortController();
  readonly #parts: string[] = [];
  readonly output: ClientStreams['output'];

  constructor(stdin: ClientStreams['stdin'] = null) {
    this.stdin = stdin;
    this.output = {
      write: (stream, chunk) => void this.#parts.push(`${stream}:${Buffer.from(chunk).toString()}`),
    };
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Writes so far, each as `stream:text`. */
  get received(): readonly string[] {
    return this.#parts;
  }

  leave(): void {
    this.#gone.abort(new Error('the client has gone'));
  }
}

export class ContainersFixture implements AsyncDisposable {
  /** Every effect, in order. */
  readonly script = new CallScript();
  readonly clock = new FakeClock();
  readonly kernel = new FakeKernel();
  readonly runtime = new FakeRuntime('crun', this.script);
  readonly db = Database.open(':memory:');
  /** Keys of the writable snapshots. */
  readonly snapshots = new Set<string>();
  /** Holds on snapshots; what is here is switched on, be it with none, as after a restart. */
  readonly holds = new Map<string, number>();
  readonly sandboxes = new Map<ContainerId, SandboxState>();
  readonly events: Omit<EngineEvent, 'time'>[] = [];
  /** What the room warned of or complained about. */
  readonly complaints: string[] = [];
  readonly volumes: Volumes;
  readonly secrets = secretsInMemory(this.clock, { database: this.db });
  readonly root = mkdtempSync(join(tmpdir(), 'moored-containers-'));
  /** Called while a commit reads a container's tree. */
  onTake: () => Promise<void> = async () => undefined;
  /** Called when a container's root is made: what it puts there is the image's. */
  onPrepare: (rootfs: string) => void = () => undefined;
  monitor: FakeMonitor;
  room: EngineContainers;
  readonly #given: FixtureOptions;

  private constructor(given: FixtureOptions) {
    this.#given = given;
    this.monitor = new FakeMonitor(this.clock, { script: this.script, programOf: given.programOf ?? waiting });
    const publish = (event: Omit<EngineEvent, 'time'>): void => void this.events.push(event);
    this.volumes = createVolumes({
      database: this.db,
      clock: this.clock,
      events: { publish },
      drivers: new Map([['local', new LocalVolumeDriver(join(this.root, 'volumes'))]]),
      mounter: createVolumeMounter(this.kernel.mounts, new URL('file:///none')),
      logger: silentLogger,
      contents: emptyContents,
    });
    this.room = this.#make();
  }

  static async open(given: FixtureOptions = {}): Promise<ContainersFixture> {
    const fixture = new ContainersFixture(given);
    await fixture.room.recover();
    return fixture;
  }

  /** The daemon is killed and comes up again: the same files, rows, mounts and processes, nothing else. */
  async reopen(): Promise<void> {
    for (const key of this.holds.keys()) this.holds.set(key, 0);
    this.monitor = this.monitor.restart();
    this.room = this.#make();
    await this.room.recover();
  }

  /** Makes a container of busybox. */
  async create(change: SpecChange = {}, name: string | null = null): Promise<ContainerId> {
    const { id } = await this.room.create({ name, spec: exampleSpec(change), frontDocument: null });
    return id;
  }

  /** Makes and starts one. */
  async run(change: SpecChange = {}, name: string | null = null): Promise<ContainerId> {
    const id = await this.create(change, name);
    await this.room.start(id);
    return id;
  }

  get(id: string): ContainerView {
    return this.room.get(id);
  }

  /** Null when it is not there. */
  status(id: string): string | null {
    return this.room.list().find((view) => view.id === id)?.state.status ?? null;
  }

  /** Actions of containers so far. */
  get actions(): readonly string[] {
    return this.events.filter(({ type }) => type === 'container').map(({ action }) => action);
  }

  /** Lets the event loop turn until `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`it never came to pass: ${condition.toString()}`);
      await nextTurn();
    }
  }

  /** Lets everything happen that is under way, what waits for files included. */
  async settle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < QUIET_TURNS; quietTurns++) {
      await nextTurn();
      if (process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))) quietTurns = 0;
    }
  }

  /** What runs hold: mounts, sandboxes, processes. Empty when no container runs. */
  leftovers(): readonly string[] {
    return [
      ...this.kernel.leftovers(),
      ...[...this.sandboxes.keys()].map((id) => `sandbox ${id}`),
      ...this.monitor.held.map((id) => `task ${id}`),
      ...[...this.holds.keys()].map((key) => `device ${key}`),
    ];
  }

  /** What containers own beyond their runs. Empty when there is no container and no volume. */
  belongings(): readonly string[] {
    return [
      ...[...this.snapshots].map((key) => `snapshot ${key}`),
      ...createContainerRows(this.db)
        .all()
        .map(({ name }) => `row ${name}`),
      ...this.room.list().map(({ name }) => `container ${name}`),
      ...this.volumes.list().map(({ name }) => `volume ${name}`),
      ...this.db.all('SELECT container_id FROM volume_use').map(() => 'volume use'),
      ...['containers', 'bundles'].flatMap((place) => entriesOf(join(this.root, place))),
    ];
  }

  /** Ids that the state file knows. */
  rowIds(): readonly string[] {
    return createContainerRows(this.db)
      .all()
      .map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.room.close({ stopContainers: false });
    await this.settle();
    this.db[Symbol.dispose]();
    rmSync(this.root, { recursive: true, force: true });
  }

  #make(): EngineContainers {
    return createContainers(this.#dependencies(), exampleOptions(this.root, this.#given.options));
  }

  #dependencies(): ContainersDependencies {
    return {
      db: counted(this.db, 'db', this.script, ['run', 'transaction']),
      clock: this.clock,
      kernel: {
        mounts: counted(this.kernel.mounts, 'mounts', this.script, [
          'mount',
          'mountInThread',
          'mountMapped',
          'unmount',
          'unmountInThread',
        ]),
        userNamespaces: counted(this.kernel.userNamespaces, 'userNamespaces', this.script, ['open', 'remove']),
      },
      files: new LinuxFiles(),
      storage: this.#storage(),
      otherStorage: {
        open: async (name) => Promise.reject(new ConflictError(`storage driver ${name} cannot be opened`)),
      },
      images: {
        get: (ref) => this.#image(ref) ?? noImage(ref),
        find: (ref) => this.#image(ref),
        provide: async () => undefined,
        collectChain: async () => undefined,
        commit: async (request) => this.#commit(request),
      },
      networks: this.#networks(),
      volumes: counted(this.volumes, 'volumes', this.script, ['create', 'remove', 'hold', 'release', 'mount']),
      logShipping: quietShipping,
      logDrivers: new Map([
        [jsonFileLogDriver.name, jsonFileLogDriver],
        [noneLogDriver.name, noneLogDriver],
      ]),
      secrets: this.secrets,
      monitor: this.monitor,
      runtimes: new Map([[this.runtime.name, this.runtime]]),
      copier: {
        look: async () => null,
        read: async () => null,
        write: async () => false,
      },
      packer: {
        capture: async () => null,
        changes: async () => [],
        usage: async (key, except) => this.#storage().usage(key, except),
        async *contents() {
          yield Buffer.from('tar');
        },
      },
      apparmor: { isSupported: false, profileFor: () => Promise.resolve(null) },
      cdi: createCdiDevices([]),
      seccomp: { seccompFor: () => ({ seccomp: null, annotations: {} }) },
      processes: { list: async () => ({ titles: ['PID'], rows: [] }) },
      usage: {
        resources: () => null,
        interfaces: () => [],
        host: () => ({ totalNs: 0n, onlineCpus: 1 }),
        memoryBytes: 0n,
      },
      events: { publish: (event) => void this.events.push(event), written: async () => undefined },
      logger: this.#logger(),
    };
  }

  /** What the image room does, each part an effect. */
  async #commit({ quiesce, onTaken }: CommitRequest): Promise<ImageId> {
    await quiesce();
    this.script.step('images.take');
    await this.onTake();
    await onTaken();
    this.script.step('images.pack');
    return IMAGE_ID;
  }

  #image(ref: string): ImageView | null {
    if (ref !== 'busybox' && ref !== IMAGE_ID) return null;
    return {
      id: IMAGE_ID,
      tags: ['busybox:latest'],
      digests: [],
      config: {
        os: 'linux',
        architecture: 'amd64',
        config: this.#given.imageConfig ?? {},
        rootfs: { type: 'layers', diff_ids: [] },
      },
      sizeBytes: 1000,
      chainId: null,
      layerChainIds: [],
      layerSizes: [],
      lastTaggedAt: null,
      parent: null,
    };
  }

  #storage(): HeldDriver {
    const { snapshots, holds, script } = this;
    const mounts = (key: string): readonly Mount[] => {
      if (!snapshots.has(key)) throw new NotFoundError(`no snapshot ${key}`);
      holds.set(key, (holds.get(key) ?? 0) + 1);
      return [{ type: 'overlay', source: 'overlay', options: [`upperdir=${key}`] }];
    };
    return {
      name: 'overlay2',
      root: this.root,
      status: () => [],
      prepare: async (key) => {
        script.step('storage.prepare');
        snapshots.add(key);
        this.onPrepare(join(this.root, 'containers', key, 'rootfs'));
        return mounts(key);
      },
      view: async (key) => mounts(key),
      mounts: async (key) => {
        script.step('storage.mounts');
        return mounts(key);
      },
      commit: async () => undefined,
      remove: async (key) => {
        script.step('storage.remove');
        snapshots.delete(key);
        holds.delete(key);
      },
      release: async (key) => {
        const left = (holds.get(key) ?? 0) - 1;
        if (left > 0) holds.set(key, left);
        else holds.delete(key);
      },
      stat: async () => null,
      usage: async () => ({ sizeBytes: 10, inodes: 1 }),
      async *walk(): AsyncIterable<SnapshotInfo> {
        for (const key of [...snapshots]) yield { key, kind: 'active', parent: null };
      },
    };
  }

  #networks(): ContainersDependencies['networks'] {
    const { script, sandboxes } = this;
    return {
      validate: () => undefined,
      get: (ref) => {
        throw new NotFoundError(`network ${ref} not found`);
      },
      restore: async (live) => {
        script.step('networks.restore');
        const ids = new Set(live.map(({ containerId }) => containerId));
        for (const id of sandboxes.keys()) if (!ids.has(id)) sandboxes.delete(id);
      },
      prepare: async (request) => {
        script.step('networks.prepare');
        const sandbox = sandboxOf(request);
        sandboxes.set(request.containerId, sandbox);
        return sandbox;
      },
      complete: async (id) => {
        const sandbox = sandboxes.get(id);
        sandboxes.delete(id);
        script.step('networks.complete');
        if (sandbox === undefined) throw new NotFoundError(`no sandbox of ${id} is arriving`);
        sandboxes.set(id, sandbox);
        return sandbox;
      },
      tearDown: async (id) => {
        script.step('networks.tearDown');
        sandboxes.delete(id);
      },
      connect: async ({ containerId }) => {
        script.step('networks.connect');
        return sandboxes.get(containerId) ?? { netnsPath: null, endpoints: [] };
      },
      disconnect: async ({ containerId }) => {
        script.step('networks.disconnect');
        return sandboxes.get(containerId) ?? { netnsPath: null, endpoints: [] };
      },
      renamed: (id) => sandboxes.get(id) ?? null,
    };
  }

  #logger(): Logger {
    const complain = (message: string): void => void this.complaints.push(message);
    return { ...silentLogger, warn: complain, error: complain };
  }
}

const IMAGE_ID = `sha256:${'a'.repeat(64)}` as ImageView['id'];

function noImage(ref: string): never {
  throw new NotFoundError(`No such image: ${ref}:latest`);
}

function waiting(): { readonly kind: 'wait' } {
  return { kind: 'wait' };
}

/** The same object; calls of the named methods are steps of the script. */
function counted<T extends object>(target: T, room: string, script: CallScript, methods: readonly string[]): T {
  return new Proxy(target, {
    get: (object, key): unknown => {
      const member: unknown = Reflect.get(object, key, object);
      if (typeof member !== 'function') return member;
      return (...args: readonly unknown[]): unknown => {
        if (typeof key === 'string' && methods.includes(key)) script.step(`${room}.${key}`);
        return Reflect.apply(member, object, args);
      };
    },
  });
}

function sandboxOf({ containerId, mode }: SandboxRequest): SandboxState {
  if (mode.kind !== 'network') return { netnsPath: null, endpoints: [] };
  return {
    netnsPath: `/run/netns/${containerId}`,
    endpoints: [
      {
        endpointId: newId<EndpointId>(),
        networkId: newId<NetworkId>(),
        networkName: mode.name,
        containerId,
        interfaceName: 'eth0',
        ipv4Address: '172.17.0.2',
        ipv4PrefixLength: 16,
        ipv4Gateway: '172.17.0.1',
        ipv6Address: null,
        ipv6PrefixLength: 0,
        ipv6Gateway: null,
        macAddress: '02:42:ac:11:00:02',
        publishedPorts: [],
      },
    ],
  };
}

function entriesOf(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory).map((name) => `file ${name}`) : [];
}

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

/** Ships nothing: these containers write no logs. */
const quietShipping = {
  ship: () => undefined,
  rotated: () => undefined,
  end: () => undefined,
  settled: () => Promise.resolve(),
  forget: () => Promise.resolve(),
};
