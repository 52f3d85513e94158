/** An engine in memory for the fronts: the facade's verbs with Docker's texts, no disk, no kernel. */
import { Readable } from 'node:stream';
import { BoundedQueue } from '../../src/base/bounded-queue.ts';
import type { Clock, Timestamp } from '../../src/base/clock.ts';
import {
  ConflictError,
  ForbiddenError,
  InvalidArgumentError,
  NotFoundError,
  UnauthorizedError,
} from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { EndpointId, NetworkId } from '../../src/base/ids.ts';
import type { Engine, EngineEvent, ImageView, NetworkView, SystemInfo, VolumeRecord } from '../../src/engine/index.ts';
import { createPrune } from '../../src/engine/prune/index.ts';
import { createSchedules, type EngineSchedules } from '../../src/engine/schedules/index.ts';
import { Database } from '../../src/engine/state/database.ts';
import { FakeContainers } from './fake-containers.ts';

type ImageId = ImageView['id'];
type RemoteDigest = Awaited<ReturnType<Engine['images']['remoteDigest']>>;

export const BUSYBOX_ID = `sha256:${'b'.repeat(64)}` as ImageId;

/** What can be asked of the fake beside the facade. */
export class FakeEngine implements Engine {
  readonly containers: FakeContainers;
  readonly images: Engine['images'];
  readonly networks: Engine['networks'];
  readonly volumes: Engine['volumes'];
  readonly events: Engine['events'];
  readonly prune: Engine['prune'];
  readonly schedules: EngineSchedules;
  readonly system = { info: async () => INFO };
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
    this.networks = fakeNetworks(clock);
    this.volumes = fakeVolumes(clock);
    this.events = this.#events();
    this.prune = createPrune({ ...this.#rooms(), clock, logger: silentLogger });
    this.schedules = createSchedules({
      database: Database.open(':memory:'),
      clock,
      logger: silentLogger,
      events: { ...this.events, publish },
      rooms: { ...this.#rooms(), prune: this.prune },
    });
  }

  #rooms(): Pick<Engine, 'containers' | 'images' | 'volumes'> {
    return { containers: this.containers, images: this.images, volumes: this.volumes };
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
    load: async (archive, { progress }) => {
      let size = 0;
      for await (const chunk of archive as AsyncIterable<Buffer>) size += chunk.length;
      progress({ stream: `Loaded image: busybox:${String(size)}\n` });
      return [BUSYBOX_ID];
    },
    importTar: async (archive) => {
      for await (const _chunk of archive as AsyncIterable<Buffer>);
      return BUSYBOX_ID;
    },
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
  };
}

function fakeNetworks(clock: Clock): Engine['networks'] {
  const networks = ['bridge', 'host', 'none'].map((name, i) => network(name, String(i + 1).repeat(64), clock.now()));
  return {
    list: () => networks,
    remove: async (ref) => {
      throw new ForbiddenError(
        `${networks.find(({ id }) => id === ref)?.name ?? ref} is a pre-defined network and cannot be removed`,
      );
    },
    get: (ref) => {
      const found = networks.find(({ id, name }) => name === ref || id.startsWith(ref));
      if (found === undefined) throw new NotFoundError(`network ${ref} not found`);
      return found;
    },
  };
}

function network(name: string, id: string, createdAt: Timestamp): NetworkView {
  const isBridge = name === 'bridge';
  return {
    id: id as NetworkId,
    name,
    driver: name === 'none' ? 'null' : name,
    createdAt,
    enableIpv6: false,
    internal: false,
    attachable: false,
    options: isBridge ? { 'com.docker.network.bridge.name': 'docker0' } : {},
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
    pools: isBridge ? [{ subnet: '172.17.0.0/16', gateway: '172.17.0.1', ipRange: null, auxAddresses: {} }] : [],
    endpoints: isBridge ? [ENDPOINT] : [],
  };
}

const ENDPOINT: NetworkView['endpoints'][number] = {
  endpointId: 'e'.repeat(64) as EndpointId,
  networkId: '1'.repeat(64) as NetworkId,
  networkName: 'bridge',
  containerId: 'c'.repeat(64) as NetworkView['endpoints'][number]['containerId'],
  interfaceName: 'eth0',
  ipv4Address: '172.17.0.2',
  ipv4PrefixLength: 16,
  ipv4Gateway: '172.17.0.1',
  ipv6Address: null,
  ipv6PrefixLength: 0,
  ipv6Gateway: null,
  macAddress: '02:42:ac:11:00:02',
  publishedPorts: [],
};

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
    cpuCfs: true,
    cpuShares: true,
    cpuset: true,
    pids: true,
    oomKillDisable: false,
    memorySwappiness: false,
    blkioWeight: true,
    cpus: '0-3',
    memoryNodes: '0',
    ipv4Forwarding: true,
    bridgeNfIptables: true,
    bridgeNfIp6tables: true,
  },
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
  warnings: [],
};
