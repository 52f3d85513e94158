/** An engine in memory for the fronts: the facade's verbs with Docker's texts, no disk, no kernel. */
import { Readable } from 'node:stream';
import { BoundedQueue } from '../../src/base/bounded-queue.ts';
import type { Clock } from '../../src/base/clock.ts';
import {
  DataLossError,
  ConflictError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
  UnauthorizedError,
} from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { Engine, EngineEvent, ImageView, SystemInfo, VolumeRecord } from '../../src/engine/index.ts';
import { createPrune } from '../../src/engine/prune/index.ts';
import { createSchedules, type EngineSchedules } from '../../src/engine/schedules/index.ts';
import { Database } from '../../src/engine/state/database.ts';
import { FakeBuilds } from './fake-builds.ts';
import { fakeNetworks } from './fake-networks.ts';
import { FakeContainers } from './fake-containers.ts';
import { secretsInMemory } from './fake-secrets.ts';

type ImageId = ImageView['id'];
type RemoteDigest = Awaited<ReturnType<Engine['images']['remoteDigest']>>;

export const BUSYBOX_ID = `sha256:${'b'.repeat(64)}` as ImageId;

/** What can be asked of the fake beside the facade. */
export class FakeEngine implements Engine {
  readonly containers: FakeContainers;
  readonly images: Engine['images'];
  readonly build = new FakeBuilds();
  readonly networks: Engine['networks'];
  readonly volumes: Engine['volumes'];
  readonly secrets: Engine['secrets'];
  readonly events: Engine['events'];
  readonly prune: Engine['prune'];
  readonly gc: Engine['gc'];
  readonly check: Engine['check'];
  readonly migration: Engine['migration'] = {
    plan: async () => ({ sources: [], neededBytes: 0, freeBytes: null, obstacles: [] }),
  };
  readonly schedules: EngineSchedules;
  readonly system = { info: async () => INFO, versions: async () => INFO };
  readonly metrics: Engine['metrics'] = {
    async *scrape() {
      yield '# TYPE fake gauge\nfake 1\n';
    },
  };
  readonly followers = new Set<BoundedQueue<EngineEvent>>();
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  constructor(clock: Clock) {
    const publish = (event: Omit<EngineEvent, 'time'>): void => {
      const stamped = { ...event, time: clock.now() };
      for (const listener of this.#listeners) listener(stamped);
      for (const follower of this.followers) follower.push(stamped);
    };
    this.images = fakeImages(clock);
    this.containers = new FakeContainers(this.images, clock, publish);
    this.networks = fakeNetworks(clock, publish);
    this.volumes = fakeVolumes(clock);
    this.secrets = secretsInMemory(clock, { events: { publish } });
    this.events = this.#events();
    this.prune = createPrune({
      ...this.#rooms(),
      builds: this.build,
      clock,
      events: { publish },
      logger: silentLogger,
    });
    this.gc = {
      preview: async () => ({ victims: [], reclaimableBytes: 0 }),
      run: async () => ({ removed: [], reclaimedBytes: 0 }),
    };
    const checked = { blobs: 0, blobBytes: 0, layers: 0, images: 0, containers: 0, volumes: 0 };
    this.check = { run: async () => ({ findings: [], checked, problems: 0 }) };
    this.schedules = createSchedules({
      database: Database.open(':memory:'),
      clock,
      logger: silentLogger,
      events: { ...this.events, publish },
      rooms: { ...this.#rooms(), prune: this.prune, gc: this.gc },
    });
  }

  #rooms(): Pick<Engine, 'containers' | 'images' | 'networks' | 'volumes'> {
    const { containers, images, networks, volumes } = this;
    return { containers, images, networks, volumes };
  }

  #events(): Engine['events'] {
    const { followers } = this;
    const listeners = this.#listeners;
    return {
      get followerCount() {
        return followers.size;
      },
      listen: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
      subscribe: ({ until, matches, signal }) => {
        const queue = new BoundedQueue<EngineEvent>(1024);
        followers.add(queue);
        const end = (): void => {
          followers.delete(queue);
          queue.close();
        };
        signal.addEventListener('abort', end);
        if (until !== null) end();
        return filtered(queue, matches);
      },
    };
  }
}

async function* filtered(
  queue: AsyncIterable<EngineEvent>,
  matches: (event: EngineEvent) => boolean,
): AsyncGenerator<EngineEvent> {
  for await (const event of queue) if (matches(event)) yield event;
}

function fakeImages(clock: Clock): Engine['images'] {
  let images: ImageView[] = [busybox(clock)];
  const watchers = new Set<(id: ImageId) => void>();
  const tell = (id: ImageId): void => watchers.forEach((watcher) => watcher(id));
  const find = (ref: string): ImageView | null => {
    const tagged = ref.includes(':') ? ref : `${ref}:latest`;
    return images.find(({ id, tags }) => tags.includes(tagged) || id === ref || id.startsWith(`sha256:${ref}`)) ?? null;
  };
  const get = (ref: string): ImageView => {
    const image = find(ref);
    if (image === null) throw new NotFoundError(`No such image: ${ref.includes(':') ? ref : `${ref}:latest`}`);
    return image;
  };
  return {
    find,
    get,
    list: async ({ dangling }) => images.filter(({ tags }) => dangling === null || dangling === (tags.length === 0)),
    history: (ref) => [
      {
        id: get(ref).id,
        entry: { created: '2026-01-01T00:00:00Z', created_by: '/bin/sh -c #(nop)' },
        sizeBytes: 1000,
        tags: ['busybox:latest'],
      },
    ],
    pull: async (reference, { progress }) => {
      if (reference.startsWith('missing')) {
        throw new NotFoundError('pull access denied for missing, repository does not exist');
      }
      progress({ status: 'Pulling from library/busybox', id: 'latest' });
      progress({ status: 'Pulling fs layer', id: '0123456789ab' });
      progress({ status: 'Downloading', id: '0123456789ab', current: 500_000, total: 2_000_000 });
      if (reference.startsWith('broken')) throw new InvalidArgumentError('filesystem layer verification failed');
      progress({ status: 'Status: Downloaded newer image for busybox:latest' });
      return get('busybox');
    },
    push: async (reference, { progress }) => {
      progress({ status: 'The push refers to repository [docker.io/library/busybox]' });
      if (!reference.startsWith('busybox')) {
        throw new NotFoundError(`An image does not exist locally with the tag: ${reference}`);
      }
      progress({ status: 'Preparing', id: '0123456789ab' });
      progress({ status: 'Pushing', id: '0123456789ab', current: 500_000, total: 2_000_000 });
      progress({ status: 'Pushed', id: '0123456789ab' });
      progress({ status: `latest: digest: ${BUSYBOX_ID} size: 527` });
      progress({ pushed: { tag: 'latest', digest: BUSYBOX_ID, sizeBytes: 527 } });
      return get('busybox');
    },
    distribution: async (reference) => {
      if (reference.startsWith('missing')) throw new NotFoundError('manifest unknown: manifest unknown');
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      return {
        descriptor: { mediaType, digest: BUSYBOX_ID, size: 1000 },
        platforms: [
          { architecture: 'amd64', os: 'linux' },
          { architecture: 'arm', os: 'linux', variant: 'v7' },
        ],
      };
    },
    search: async (term, { limit }) =>
      [300, 20, 0].slice(0, limit).map((starCount, index) => ({
        name: `${term}${String(index)}`,
        description: '',
        isOfficial: index === 0,
        isAutomated: false,
        starCount,
      })),
    removeRemote: async (reference) => {
      if (reference.startsWith('kept')) throw new NotImplementedError('registry kept.test does not delete images');
      return BUSYBOX_ID;
    },
    load: async (archive, { progress }) => {
      let size = 0;
      for await (const chunk of archive as AsyncIterable<Buffer>) size += chunk.length;
      progress({ stream: `Loaded image: busybox:${String(size)}\n` });
      return [BUSYBOX_ID];
    },
    save: async (references) => {
      const ids = references.map((reference) => get(reference).id);
      return (async function* () {
        for (const id of ids) yield Buffer.from(`[${id}]`);
        if (references.includes('busybox')) return;
        throw new DataLossError('a blob broke off');
      })();
    },
    importTar: async (archive) => {
      for await (const _chunk of archive as AsyncIterable<Buffer>);
      return BUSYBOX_ID;
    },
    describeStorage: async () => ({ UpperDir: '/u', MergedDir: '/m', WorkDir: '/w' }),
    commit: async () => `sha256:${'c'.repeat(64)}` as ImageId,
    tag: (ref, repository, tag) => {
      const image = get(ref);
      if (repository === '') throw new InvalidArgumentError('invalid reference format');
      const name = tag === null && repository.includes(':') ? repository : `${repository}:${tag ?? 'latest'}`;
      images = images.map((other) => (other === image ? { ...image, tags: [...image.tags, name] } : other));
      tell(image.id);
    },
    untag: (reference) => {
      const image = get(reference);
      const tags = image.tags.filter((tag) => tag !== reference);
      if (tags.length === image.tags.length) throw new InvalidArgumentError(`${reference} is an image id and no name`);
      images = images.map((other) => (other === image ? { ...image, tags } : other));
      tell(image.id);
    },
    lastUses: () => new Map(),
    collectChain: async () => undefined,
    provide: async () => undefined,
    remoteDigest: async (reference) => {
      if (reference.startsWith('missing')) throw new NotFoundError(`manifest for ${reference} not found`);
      return (reference.startsWith('stale') ? `sha256:${'e'.repeat(64)}` : BUSYBOX_ID) as RemoteDigest;
    },
    watch: (listener) => {
      watchers.add(listener);
      return { [Symbol.dispose]: () => void watchers.delete(listener) };
    },
    remove: async (ref, { force }) => {
      const image = get(ref);
      if (!force && ref.startsWith('busybox'))
        throw new ConflictError('conflict: unable to remove repository reference');
      images = images.filter((other) => other !== image);
      tell(image.id);
      return [...image.tags.map((untagged) => ({ untagged })), { deleted: image.id }];
    },
    authenticate: async (_server, auth) => {
      if (auth.password !== 'right') throw new UnauthorizedError('Get "https://x/v2/": unauthorized');
      return '';
    },
  };
}

function busybox(clock: Clock): ImageView {
  return {
    id: BUSYBOX_ID,
    tags: ['busybox:latest'],
    digests: [`busybox@${BUSYBOX_ID}`],
    config: {
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config: { Env: ['PATH=/bin'], Cmd: ['true'] },
      rootfs: { type: 'layers', diff_ids: [] },
    },
    sizeBytes: 1000,
    chainId: null,
    layerChainIds: [],
    layerSizes: [],
    lastTaggedAt: clock.now(),
    parent: null,
  };
}

function fakeVolumes(clock: Clock): Engine['volumes'] {
  const volumes = new Map<string, VolumeRecord>();
  const get = (name: string): VolumeRecord => {
    const volume = volumes.get(name);
    if (volume === undefined) throw new NotFoundError(`get ${name}: no such volume`);
    return volume;
  };
  return {
    get,
    list: () => [...volumes.values()],
    usersOf: () => [],
    export: (name) => Readable.from([Buffer.from(`tar of ${get(name).name}`)], { objectMode: false }),
    import: async (name, tar, { force, signal, progress }) => {
      if (get(name).name === 'used' && !force) throw new ConflictError('import into used: volume is in use - [cc]');
      let done = 0;
      for await (const chunk of tar as AsyncIterable<Buffer>) {
        signal.throwIfAborted();
        done += chunk.length;
        progress({ phase: 'receiving', done, total: 0 });
      }
    },
    usage: async (name) => (get(name).name === '' ? 0 : 4096),
    create: async ({ name, driver, labels, options, anonymous }) => {
      const key = name ?? 'f'.repeat(64);
      const volume = volumes.get(key) ?? {
        name: key,
        driver: driver ?? 'local',
        createdAt: clock.now(),
        mountPoint: `/volumes/${key}/_data`,
        labels,
        options,
        anonymous: anonymous ?? name === null,
      };
      volumes.set(key, volume);
      return volume;
    },
    remove: async (name, { force }) => {
      if (!force) get(name);
      volumes.delete(name);
    },
  };
}

const INFO: SystemInfo = {
  engineId: '00000000-0000-0000-0000-000000000000',
  engineVersion: '0.1.0',
  hostname: 'fake',
  kernelVersion: '6.1.0',
  operatingSystem: 'Debian GNU/Linux 12 (bookworm)',
  osVersion: '12',
  machine: 'x86_64',
  cpuCount: 2,
  memoryBytes: 8_000_000_000,
  storageDriver: 'overlay2',
  storageStatus: [['Backing Filesystem', 'extfs']],
  dataRoot: '/var/lib/docker',
  debug: false,
  logDriver: 'json-file',
  logDrivers: ['json-file', 'none'],
  cgroupDriver: 'cgroupfs',
  cgroupVersion: '2',
  limits: {
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
    oomKillDisable: false,
    memorySwappiness: false,
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
    bridgeNfIptables: true,
    bridgeNfIp6tables: true,
  },
  cdiDirectories: [],
  cdiDevices: [],
  defaultRuntime: 'crun',
  runtimes: { crun: { path: 'crun', runtimeArgs: [] } },
  runtimeVersion: '1.8.1',
  monitorVersion: '2.1.6',
  initBinary: 'docker-init',
  securityOptions: ['name=seccomp,profile=builtin'],
  insecureRegistries: ['127.0.0.0/8'],
  registryMirrors: [],
  labels: [],
  experimental: false,
  liveRestore: true,
  httpProxy: '',
  httpsProxy: '',
  noProxy: '',
  startedAt: '2026-01-01T00:00:00Z',
  fileDescriptorCount: 20,
  firewall: { backend: 'nftables', hasFirewalld: false, reloadedAt: null, missingZones: [] },
  warnings: [],
};
