/** The manager and the objects of images, networks, volumes over a fake engine. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createDocuments } from '../../../../src/api/documents.ts';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { ForbiddenError } from '../../../../src/base/errors.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import { exportEngine, type EngineObjects } from '../../../../src/dbus/engine-objects.ts';
import { variant, type Variant } from '../../../../src/dbus/bus/exported.ts';
import { MANAGER_PATH, ROOT } from '../../../../src/dbus/names.ts';
import type { ServiceChange, ServiceFacts } from '../../../../src/dbus/service-port.ts';
import { createDescriptorCalls } from '../../../../src/engine/kernel/linux/descriptors.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { BUSYBOX_ID, FakeEngine } from '../../../support/fake-engine.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

const IMAGE_PATH = `${ROOT}/image/${BUSYBOX_ID.slice(7)}`;
const BRIDGE_PATH = `${ROOT}/network/${'1'.repeat(64)}`;

interface World {
  available: number;
  listeners: ReturnType<ServiceFacts['listeners']>;
  pending: readonly string[];
  hasPolkit: boolean;
  readonly watchers: Set<(change: ServiceChange) => void>;
}

let clock: FakeClock;
let engine: FakeEngine;
let tree: RecordingTree;
let world: World;
let objects: EngineObjects;

beforeEach(async () => {
  clock = new FakeClock();
  engine = new FakeEngine(clock);
  tree = new RecordingTree();
  world = { available: 80, listeners: [], pending: [], hasPolkit: true, watchers: new Set() };
  const words = createDocuments({ engine, clock, build: { version: '1', gitCommit: '', buildTime: '' } });
  const descriptors = createDescriptorCalls();
  objects = await exportEngine({
    engine,
    tree,
    descriptors,
    words,
    facts: factsOf(world),
    clock,
    logger: silentLogger,
  });
});
afterEach(() => {
  objects[Symbol.dispose]();
});

function factsOf(state: World): ServiceFacts {
  return {
    version: '1.2.3',
    apiVersion: '1.51',
    minApiVersion: '1.24',
    startedAt: clock.now(),
    state: () => 'running',
    listeners: () => state.listeners,
    pendingRestart: () => state.pending,
    configFindings: () => [],
    firewallBackend: () => 'nftables',
    hasPolkit: () => state.hasPolkit,
    dataSpace: () => ({ availableBytes: state.available, totalBytes: 100 }),
    cgroupPathsOf: (pid) => (pid === 7 ? ['/system.slice/x.service'] : []),
    reload: () => Promise.resolve(['log-level']),
    watch: (listener) => {
      state.watchers.add(listener);
      return { [Symbol.dispose]: () => void state.watchers.delete(listener) };
    },
  };
}

const manager = (member: string, ...args: readonly unknown[]): Promise<readonly unknown[]> =>
  tree.call(MANAGER_PATH, member, args, callOf());

async function create(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
  const spec = { ...exampleSpec(), image: 'busybox', command: ['sleep'], labels };
  const { id } = await engine.containers.create({ name, spec, frontDocument: null });
  return `${ROOT}/container/${id}`;
}

describe('objects', () => {
  test('are there for all that the engine has', () => {
    expect([...tree.objects.keys()]).toEqual(
      expect.arrayContaining([MANAGER_PATH, IMAGE_PATH, BRIDGE_PATH]) as readonly string[],
    );
    expect(tree.properties(IMAGE_PATH)).toMatchObject({ Id: BUSYBOX_ID, RepoTags: ['busybox:latest'], Containers: [] });
    expect(tree.properties(BRIDGE_PATH)).toMatchObject({
      Name: 'bridge',
      Subnets: [['172.17.0.0/16', '172.17.0.1', '']],
      InterfaceName: 'docker0',
    });
  });

  test('know their containers at once, and lose them at once', async () => {
    const path = await create('web');
    expect(tree.properties(IMAGE_PATH)['Containers']).toEqual([path]);
    expect(tree.announced.filter(({ kind, path: at }) => kind === 'changed' && at === IMAGE_PATH)).toHaveLength(1);
    await engine.containers.remove('web', { force: true, volumes: false });
    expect(tree.properties(IMAGE_PATH)['Containers']).toEqual([]);
  });

  test('of images follow names and removal', async () => {
    await tree.call(IMAGE_PATH, 'Tag', ['other:1'], callOf());
    expect(tree.properties(IMAGE_PATH)['RepoTags']).toEqual(['busybox:latest', 'other:1']);
    await expect(tree.call(IMAGE_PATH, 'Untag', ['missing:1'], callOf())).rejects.toThrow('No such image');
    await tree.call(IMAGE_PATH, 'Untag', ['other:1'], callOf());
    expect(await tree.call(IMAGE_PATH, 'Remove', [{ Force: variant('b', true) }], callOf())).toEqual([
      ['busybox:latest'],
      [BUSYBOX_ID],
    ]);
    expect(tree.has(IMAGE_PATH)).toBe(false);
    expect(tree.properties(MANAGER_PATH)['Images']).toBe(0);
  });

  test('refuse in words what is not offered', async () => {
    await expect(tree.call(BRIDGE_PATH, 'Remove', [], callOf())).rejects.toThrow(ForbiddenError);
    await expect(tree.call(IMAGE_PATH, 'Remove', [{ Nope: variant('b', true) }], callOf())).rejects.toThrow('"Nope"');
    await expect(manager('BuildImageFromPath', '/', { Nope: variant('b', true) })).rejects.toThrow('"Nope"');
  });

  test('of networks are made', async () => {
    const [path] = await manager('CreateNetwork', 'front', { Internal: variant('b', true) });
    expect(tree.properties(String(path))).toMatchObject({ Name: 'front', Internal: true });
    await expect(manager('CreateNetwork', 'front', {})).rejects.toThrow('network with name front already exists');
  });

  test('of images are saved into a descriptor', async () => {
    const descriptors = createDescriptorCalls();
    const saved = async (references: readonly string[]): Promise<string> => {
      const [fd] = await tree.call(IMAGE_PATH, 'Save', [references], callOf());
      const chunks: Buffer[] = [];
      for await (const chunk of descriptors.read(fd as number) as AsyncIterable<Buffer>) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    };
    engine.images.tag('busybox', 'other', '1');
    expect(await saved(['busybox'])).toBe(`[${BUSYBOX_ID}]`);
    // All its names; the fake's blob breaks off after them, and so does the stream.
    expect(await saved([])).toBe(`[${BUSYBOX_ID}][${BUSYBOX_ID}]`);
    await expect(tree.call(IMAGE_PATH, 'Save', [['missing:1']], callOf())).rejects.toThrow('No such image');
  });

  test('tell polkit what they are', () => {
    const detailsAt = (path: string, member: string, ...args: readonly unknown[]): unknown =>
      tree.objects.get(path)?.interfaces[0]?.polkitDetails?.(member, args);
    expect(detailsAt(IMAGE_PATH, 'Remove', {})).toEqual({ image: 'busybox:latest', id: BUSYBOX_ID });
    expect(detailsAt(IMAGE_PATH, 'Tag', 'new:1')).toEqual({ image: 'new:1', id: BUSYBOX_ID });
    expect(detailsAt(BRIDGE_PATH, 'Remove')).toEqual({ network: 'bridge', id: '1'.repeat(64) });
    expect(detailsAt(MANAGER_PATH, 'Prune', ['image', 'volume'], {})).toEqual({ types: 'image,volume' });
    expect(detailsAt(MANAGER_PATH, 'PullImage', 'busybox', {})).toEqual({ image: 'busybox' });
    expect(detailsAt(MANAGER_PATH, 'DeleteRemoteImage', 'busybox', {})).toEqual({ image: 'busybox' });
    expect(detailsAt(MANAGER_PATH, 'GetContainer', 'nobody')).toEqual({ container: 'nobody' });
    expect(
      detailsAt(MANAGER_PATH, 'RunContainer', 'web', 'busybox', [], { Privileged: variant('b', true) }),
    ).toMatchObject({ container: 'web', image: 'busybox', privileged: 'true' });
    expect(detailsAt(MANAGER_PATH, 'CreateContainerFromJSON', 'web', '{')).toEqual({ container: 'web' });
  });
});

describe('the manager', () => {
  test('counts containers', async () => {
    await create('web');
    expect(tree.properties(MANAGER_PATH)).toMatchObject({ ContainersRunning: 0, ContainersStopped: 1 });
    await engine.containers.start('web');
    await engine.containers.pause('web');
    expect(tree.properties(MANAGER_PATH)).toMatchObject({ ContainersPaused: 1, ContainersStopped: 0 });
    await engine.containers.remove('web', { force: true, volumes: false });
    expect(tree.properties(MANAGER_PATH)).toMatchObject({ ContainersPaused: 0, ContainersStopped: 0 });
  });

  test('tells events without labels and command lines', async () => {
    await create('web', { password: 'geheim', signal: 'geheim', exitCode: 'geheim' });
    await engine.containers.start('web');
    const events = tree.sent('Event').map(({ args }) => args);
    expect(events.map(([, type, action]) => `${String(type)} ${String(action)}`)).toEqual(
      expect.arrayContaining(['container create', 'container start']) as readonly string[],
    );
    expect(JSON.stringify(events.map((args) => args.slice(1)))).not.toContain('geheim');
  });

  test('diagnoses, and names the worst first', async () => {
    expect(await manager('GetDiagnostics')).toEqual([[]]);
    Object.assign(world, {
      available: 0.5,
      pending: ['data-root'],
      hasPolkit: false,
      listeners: [
        { address: 'unix:///run/docker.sock', isPlainTcp: false },
        { address: 'tcp://0.0.0.0:2375', isPlainTcp: true },
      ],
    });
    const [findings] = (await manager('GetDiagnostics')) as readonly [readonly (readonly string[])[]];
    expect(findings.map(([severity, code, object]) => [severity, code, object])).toEqual([
      ['error', 'disk-nearly-full', '/var/lib/docker'],
      ['warning', 'pending-restart', `${ROOT}/Config`],
      ['warning', 'plain-tcp', 'tcp://0.0.0.0:2375'],
      ['warning', 'no-polkit', MANAGER_PATH],
    ]);
    expect(tree.properties(MANAGER_PATH)).toMatchObject({
      State: 'degraded',
      Warnings: ['disk-nearly-full', 'pending-restart', 'plain-tcp', 'no-polkit'],
      Listeners: ['unix:///run/docker.sock', 'tcp://0.0.0.0:2375'],
    });
  });

  test('reloads, and tells of every reload', async () => {
    expect(await manager('Reload')).toEqual([['log-level']]);
    for (const watcher of world.watchers) watcher({ kind: 'reloading', active: true });
    expect(tree.sent('Reloading').map(({ args }) => args)).toEqual([[true]]);
  });

  test('lists by filters, and finds by process', async () => {
    const path = await create('web', { tier: 'front' });
    const names = async (filters: Readonly<Record<string, Variant>>): Promise<unknown> =>
      ((await manager('ListContainers', filters))[0] as readonly (readonly unknown[])[]).map((row) => row[2]);
    expect(await names({})).toEqual([]);
    expect(await names({ all: variant('b', true) })).toEqual(['web']);
    expect(await names({ label: variant('as', ['tier=front']), status: variant('s', 'created') })).toEqual(['web']);
    expect(await names({ limit: variant('u', 1) })).toEqual(['web']);
    await expect(names({ colour: variant('s', 'red') })).rejects.toThrow("invalid filter 'colour'");
    await expect(names({ label: variant('u', 1) })).rejects.toThrow("must be of type 's', 'as' or 'b'");
    await expect(names({ all: variant('s', 'yes') })).rejects.toThrow("all must be of type 'b'");
    expect(await manager('GetContainer', 'web')).toEqual([path]);
    expect(await manager('GetImage', 'busybox')).toEqual([IMAGE_PATH]);
    await expect(manager('GetContainerByPID', 8)).rejects.toThrow('No such process: 8');
    await expect(manager('GetContainerByPID', 7)).rejects.toThrow('No such container: process 7 is in none');
  });

  test('pulls in a job: phases of layers, log to the starter', async () => {
    const [path] = await manager('PullImage', 'busybox', {});
    await clock.advance(0);
    expect(tree.properties(String(path))).toMatchObject({
      Result: 'done',
      Details: { Image: variant('o', IMAGE_PATH), Updated: variant('b', false) },
    });
    expect(tree.sent('ItemProgress').at(-1)?.args).toEqual(['0123456789ab', 'downloading', 500_000, 2_000_000]);
    expect(tree.sent('Log').map(({ args }) => String(args[1]))).toEqual([
      'Pulling from library/busybox',
      'Status: Downloaded newer image for busybox:latest',
    ]);
    expect(tree.sent('Log').every(({ destination }) => destination === ':1.1')).toBe(true);
  });

  test('pushes in a job, and deletes at the registry', async () => {
    const [path] = await tree.call(IMAGE_PATH, 'Push', ['busybox', {}], callOf());
    await clock.advance(0);
    expect(tree.properties(String(path))).toMatchObject({
      Type: 'push',
      Objects: [IMAGE_PATH],
      Result: 'done',
      Details: { Digest: variant('s', BUSYBOX_ID) },
    });
    expect(tree.sent('ItemProgress').at(-1)?.args).toEqual(['0123456789ab', 'done', 2_000_000, 2_000_000]);
    expect(tree.sent('Log').map(({ args }) => String(args[1]))).toEqual([
      'The push refers to repository [docker.io/library/busybox]',
      `latest: digest: ${BUSYBOX_ID} size: 527`,
    ]);
    const bad = { Auth: variant('a{ss}', { pin: 'geheim' }) };
    await expect(tree.call(IMAGE_PATH, 'Push', ['busybox', bad], callOf())).rejects.toThrow('unknown key "pin"');
    await expect(tree.call(IMAGE_PATH, 'Push', ['other', {}], callOf())).rejects.toThrow('No such image');
    expect(await manager('DeleteRemoteImage', 'busybox:1', {})).toEqual([BUSYBOX_ID]);
    await expect(manager('DeleteRemoteImage', 'kept:1', {})).rejects.toThrow('does not delete images');
  });

  test('shows jobs to who may look, and to who started them', async () => {
    const no = { authorize: () => Promise.reject(new ForbiddenError('no')) };
    const as = (uid: number, member: string, ...args: readonly unknown[]): Promise<readonly unknown[]> =>
      tree.call(MANAGER_PATH, member, args, callOf({ uid, ...no }));
    const [path] = await tree.call(MANAGER_PATH, 'PullImage', ['busybox', {}], callOf({ uid: 4001 }));
    await clock.advance(0);
    const id = Number(String(path).split('/').at(-1));
    expect(await as(4001, 'ListJobs')).toEqual([[[id, path, 'pull', 'finished', expect.any(Number)]]]);
    expect((await as(4001, 'WaitJob', id, 0n))[0]).toBe('done');
    expect(await as(4002, 'ListJobs')).toEqual([[]]);
    await expect(as(4002, 'WaitJob', id, 0n)).rejects.toThrow('no');
    await expect(as(4002, 'WaitJob', id + 1, 0n)).rejects.toThrow('no');
    expect(await manager('ListJobs')).toEqual([[expect.arrayContaining([id, path])]]);
    const owner = tree.objects.get(String(path))?.interfaces[0];
    expect([4001, 4002].map((uid) => owner?.isOwnedBy?.(uid))).toEqual([true, false]);
  });

  test('runs a container, and refuses a command given twice', async () => {
    const [path] = await manager('RunContainer', 'once', 'busybox', ['sleep'], {});
    await clock.advance(0);
    expect(tree.properties(String(path))).toMatchObject({ Type: 'run', Result: 'done' });
    expect(engine.containers.get('once').state.status).toBe('running');
    const twice = manager('RunContainer', '', 'busybox', ['true'], { Command: variant('as', ['false']) });
    await expect(twice).rejects.toThrow('the command is given twice');
    const [failing] = await manager('RunContainer', '', 'missing', [], { Pull: variant('s', 'never') });
    await clock.advance(0);
    expect(tree.properties(String(failing))).toMatchObject({
      Result: 'failed',
      ErrorName: 'org.moored.Engine1.Error.NoSuchImage',
    });
  });

  test('previews and prunes alike', async () => {
    await create('old');
    const [victims, bytes] = await manager('PreviewPrune', ['container'], {});
    expect([victims, bytes]).toEqual([[['container', engine.containers.get('old').id, 10]], 10]);
    const [path] = await manager('Prune', ['container'], {});
    await clock.advance(0);
    expect(tree.properties(String(path))).toMatchObject({ Result: 'done', Progress: 1 });
    expect(tree.sent('JobRemoved')[0]?.args[3]).toMatchObject({ Reclaimed: variant('t', 10) });
    await expect(manager('Prune', ['pod'], {})).rejects.toThrow('unknown object type: pod');
    await expect(manager('Prune', ['image'], { Until: variant('s', 'x') })).rejects.toThrow('failed to parse');
  });

  test('collects images by the rules, and shows before what would go', async () => {
    const last = 5_000_000n as Timestamp;
    const victim = {
      type: 'image',
      id: 'sha256:1',
      name: 'a:1',
      bytes: 7,
      reason: 'unused',
      lastUsedAt: last,
    } as const;
    const row = ['sha256:1', 'a:1', 'unused', 5000n, 7];
    vi.spyOn(engine.gc, 'preview').mockResolvedValue({ victims: [victim], reclaimableBytes: 7 });
    vi.spyOn(engine.gc, 'run').mockImplementation(async (_signal, onRemoved) => {
      onRemoved?.(victim);
      return { removed: [victim], reclaimedBytes: 7 };
    });
    expect(await manager('PreviewImageCollection')).toEqual([[row], 7]);
    await manager('CollectImages', {});
    await clock.advance(0);
    expect(tree.sent('JobRemoved')[0]?.args[3]).toMatchObject({
      Removed: variant('a(ssstt)', [row]),
      Reclaimed: variant('t', 7),
    });
    await expect(manager('CollectImages', { Force: variant('b', true) })).rejects.toThrow('Force');
  });

  test('tells what a migration of the storage would take', async () => {
    const obstacles = ['containers run: web'];
    const plan = { sources: [{ driver: 'vfs', layers: 3, containers: 2 }], neededBytes: 7, freeBytes: 5, obstacles };
    const asked = vi.spyOn(engine.migration, 'plan').mockResolvedValue(plan);
    expect(await manager('PlanStorageMigration', 'btrfs')).toEqual([[['vfs', 3, 2]], 7, 5, obstacles]);
    expect(asked).toHaveBeenCalledWith('btrfs');
    asked.mockResolvedValue({ ...plan, freeBytes: null });
    expect((await manager('PlanStorageMigration', 'devicemapper'))[2]).toBe(2n ** 64n - 1n);
  });

  test('checks the store', async () => {
    const finding = {
      kind: 'leftover',
      subject: 'x',
      problem: 'nobody needs it',
      sizeBytes: 3,
      outcome: 'found',
      remedy: 'can be removed',
    } as const;
    const checked = { blobs: 0, blobBytes: 0, layers: 0, images: 0, containers: 0, volumes: 0 };
    const run = vi.spyOn(engine.check, 'run').mockImplementation(async ({ onFinding, onProgress }) => {
      onProgress?.({ phase: 'blobs', done: 1, total: 2 });
      onFinding?.(finding);
      return { findings: [finding], checked, problems: 1 };
    });
    await manager('CheckStore', { Deep: variant('b', true) });
    await clock.advance(0);
    expect(run.mock.calls[0]?.[0]).toMatchObject({ deep: true, repair: false });
    const row = ['leftover', 'x', 'nobody needs it', 'leftover', 3, 'found', 'can be removed'];
    expect(tree.sent('JobRemoved')[0]?.args[3]).toMatchObject({
      Findings: variant('a(sssstss)', [row]),
      Problems: variant('u', 1),
    });
  });

  test('counts the disk by type', async () => {
    await create('old');
    const [usage] = (await manager('GetDiskUsage', ['container'], {})) as readonly [Readonly<Record<string, Variant>>];
    expect(usage['container']?.value).toEqual({
      Count: variant('u', 1),
      Active: variant('u', 0),
      Size: variant('t', 10),
      Reclaimable: variant('t', 10),
    });
    await expect(manager('GetDiskUsage', ['pod'], {})).rejects.toThrow('unknown object type: pod');
  });
});
