import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { createEventBus } from '../../../../src/engine/events/event-bus.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import type { Volumes } from '../../../../src/engine/volumes/driver.ts';
import { createVolumes } from '../../../../src/engine/volumes/index.ts';
import type { Mount } from '../../../../src/engine/oci/mount.ts';
import { withAddresses } from '../../../../src/engine/volumes/local/address.ts';
import { LocalVolumeDriver } from '../../../../src/engine/volumes/local/driver.ts';
import { createVolumeMounter } from '../../../../src/engine/volumes/mounter.ts';
import { ProjectQuotas } from '../../../../src/engine/storage/quota/project.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';
import { FakeProjectQuotas } from '../../../support/fake-project-quotas.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import { emptyContents } from '../../../support/empty-contents.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const USER = 'c1' as ContainerId;
let root = '';
let database: Database;
let kernel: FakeKernel;
let calls: FakeProjectQuotas;
let volumes: Volumes;
const actions: string[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'moored-volumes-'));
  database = Database.open(':memory:');
  kernel = new FakeKernel();
  calls = new FakeProjectQuotas();
  calls.present = 'none';
  actions.length = 0;
  volumes = volumesWith(quotasFor(calls));
});
afterEach(() => {
  database[Symbol.dispose]();
  rmSync(root, { recursive: true });
});

const quotasFor = (of: FakeProjectQuotas): ProjectQuotas => ProjectQuotas.open({ root, filesystem: 'xfs', calls: of });

function volumesWith(quotas: ProjectQuotas, rows = database): Volumes {
  const clock = new FakeClock();
  const events = createEventBus(clock);
  events.listen(({ action, actorId }) => actions.push(`${action} ${actorId}`));
  return createVolumes({
    database: rows,
    clock,
    events,
    drivers: new Map([['local', new LocalVolumeDriver(root, { quotas })]]),
    contents: emptyContents,
    logger: silentLogger,
    mounter: createVolumeMounter(kernel.mounts, new URL('file:///none')),
  });
}

const create = (name: string | null, more: object = {}): ReturnType<Volumes['create']> =>
  volumes.create({ name, driver: null, labels: {}, options: {}, ...more });

describe('volumes', () => {
  it('are directories that stay until removed', async () => {
    const volume = await create('data', { labels: { a: 'b' } });
    expect(volume.mountPoint).toBe(join(root, 'data', '_data'));
    writeFileSync(join(volume.mountPoint, 'file'), 'x');
    expect(volumes.get('data')).toEqual(volume);
    expect(await volumes.mount('data', USER)).toEqual({
      mount: { type: 'bind', source: volume.mountPoint, options: ['rbind'] },
      isMounted: false,
      keepsOwner: false,
    });
    await volumes.remove('data', { force: false });
    expect(existsSync(join(root, 'data'))).toBe(false);
    expect(volumes.list()).toEqual([]);
    expect(actions).toEqual(['create data', 'destroy data']);
  });

  it('that exist are given back, not made again', async () => {
    const first = await create('data');
    expect(await create('data', { labels: { other: 'label' } })).toEqual(first);
    expect(actions).toEqual(['create data']);
  });

  it('without a name get one of 64 hex digits', async () => {
    const volume = await create(null, { anonymous: true });
    expect(volume.name).toMatch(/^[0-9a-f]{64}$/);
    expect(volume.anonymous).toBe(true);
  });

  it('in use cannot be removed', async () => {
    await create('data');
    volumes.hold('c1' as ContainerId, ['data']);
    volumes.hold('c2' as ContainerId, ['data']);
    await expect(volumes.remove('data', { force: true })).rejects.toThrow('remove data: volume is in use - [c1, c2]');
    volumes.release('c1' as ContainerId);
    volumes.release('c2' as ContainerId);
    await volumes.remove('data', { force: false });
  });

  it('whose directory was deleted by hand are made anew on mount', async () => {
    const volume = await create('data');
    rmSync(join(root, 'data'), { recursive: true });
    await volumes.mount('data', USER);
    expect(existsSync(volume.mountPoint)).toBe(true);
  });

  it.each([
    ['x', 'create x: volume name is too short, names should be at least two alphanumeric characters'],
    ['../x', 'create ../x: "../x" includes invalid characters for a local volume name'],
    ['a/b', 'includes invalid characters'],
    ['-a', 'includes invalid characters'],
  ])('refuse the name %s', async (name, message) => {
    await expect(create(name)).rejects.toThrow(message);
  });

  it('say what is missing', async () => {
    expect(() => volumes.get('no')).toThrow('get no: no such volume');
    await expect(volumes.remove('no', { force: false })).rejects.toThrow('get no: no such volume');
    await volumes.remove('no', { force: true });
    await expect(create('ab', { driver: 'nfs' })).rejects.toThrow(
      'create ab: error looking up volume plugin nfs: plugin "nfs" not found',
    );
    await expect(create('ab', { options: { nope: '1' } })).rejects.toThrow('create ab: invalid option: "nope"');
  });

  it.each<[Record<string, string>, string]>([
    [{ type: 'nfs' }, 'missing required option: "device"'],
    [{ device: '/dev/x' }, 'missing required option: "type"'],
    [{ o: 'addr=a' }, 'missing required option: "device"'],
    [{ type: 'nfs', o: 'addr=a' }, 'missing required option: "device"'],
    [{ size: '10m' }, 'quota size requested but no quota support: the xfs file system of '],
    [{ size: 'much' }, "invalid size: 'much'"],
    [{ o: 'uid=99999999999' }, 'missing required option: "device"'],
    [{ o: 'uid=4294967295' }, 'invalid uid: 4294967295'],
  ])('refuse the options %j', async (options, message) => {
    await expect(create('opt', { options })).rejects.toThrow(`create opt: ${message}`);
    expect(volumes.list()).toEqual([]);
  });

  it('are given to whom the options name', async () => {
    const volume = await create('owned', { options: { o: 'uid=1000,gid=1001,mode=2750' } });
    const { uid, gid, mode } = statSync(volume.mountPoint);
    expect([uid, gid, (mode & 0o7777).toString(8)]).toEqual([1000, 1001, '2750']);
  });

  it('without a name of their own carry the label that clients know them by', async () => {
    expect((await create(null)).labels).toEqual({ 'com.docker.volume.anonymous': '' });
  });
});

describe('a volume with a file system of its own', () => {
  const share = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,nosuid' };
  const mounted = (): readonly string[] => kernel.mounted.map(({ target }) => target);

  it('is mounted for its first user and unmounted with its last', async () => {
    const { mountPoint } = await create('share', { options: share });
    await volumes.mount('share', 'a' as ContainerId);
    await volumes.mount('share', 'b' as ContainerId);
    await volumes.mount('share', 'b' as ContainerId);
    expect(mounted()).toEqual([mountPoint]);
    expect(kernel.mounted[0]?.mount).toEqual({ type: 'tmpfs', source: 'tmpfs', options: ['size=1m', 'nosuid'] });
    await volumes.unmount('share', 'a' as ContainerId);
    await volumes.unmount('share', 'a' as ContainerId);
    expect(mounted()).toEqual([mountPoint]);
    await volumes.unmount('share', 'b' as ContainerId);
    expect(mounted()).toEqual([]);
  });

  it('stays mounted over a restart of the engine for those who run, and for nobody else', async () => {
    const used = await create('used', { options: share });
    const left = await create('left', { options: share });
    for (const { mountPoint } of [used, left]) {
      kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: [] }, mountPoint);
    }
    await volumes.settle(new Map([['a' as ContainerId, ['used']]]));
    expect(mounted()).toEqual([used.mountPoint]);
    await volumes.unmount('used', 'a' as ContainerId);
    expect(mounted()).toEqual([]);
  });

  it('says in the words of mount(2) why it cannot be mounted, without passwords', async () => {
    const { mountPoint } = await create('share', {
      options: { type: 'tmpfs', device: '//h/s', o: 'ro,password=x,user=y' },
    });
    kernel.failOn('mounts.mount', 'ENODEV');
    await expect(volumes.mount('share', USER)).rejects.toThrow(
      `error while mounting volume '${mountPoint}': failed to mount local volume: ` +
        `mount //h/s:${mountPoint}, flags: 0x1, data: password=********,user=y: no such device`,
    );
    expect(mounted()).toEqual([]);
  });

  it('is unmounted before it is deleted, and what others mounted there is left', async () => {
    const { mountPoint } = await create('share', { options: share });
    kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: [] }, mountPoint);
    await volumes.remove('share', { force: false });
    expect(mounted()).toEqual([]);
    const plain = await create('plain');
    kernel.mounts.mount({ type: 'bind', source: '/home', options: ['bind'] }, plain.mountPoint);
    await expect(volumes.remove('plain', { force: true })).rejects.toThrow(
      `remove plain: unlinkat ${plain.mountPoint}: device or resource busy`,
    );
    expect(existsSync(plain.mountPoint)).toBe(true);
  });
});

describe('a volume with a size', () => {
  const limits = (): readonly number[] => [...calls.limits.values()];

  beforeEach(() => {
    calls.present = 'enforced';
    volumes = volumesWith(quotasFor(calls));
  });

  it('is a limited directory, which dockerd would know as well', async () => {
    const { mountPoint, options } = await create('sized', { options: { size: '10m' } });
    expect([options, limits()]).toEqual([{ size: '10m' }, [10_485_760]]);
    expect(calls.projectOf(mountPoint)).toBeGreaterThan(0);
    expect(statSync(mountPoint).mode & 0o7777).toBe(0o755);
    expect(JSON.parse(readFileSync(join(root, 'sized', 'opts.json'), 'utf8'))).toEqual({
      MountType: '',
      MountOpts: '',
      MountDevice: '',
      Quota: { Size: 10_485_760 },
    });
    await volumes.remove('sized', { force: false });
    expect([limits(), existsSync(join(root, 'sized'))]).toEqual([[], false]);
  });

  it('has its owner, too, and no limit where the size is zero', async () => {
    const { mountPoint } = await create('owned', { options: { size: '1m', o: 'uid=1000,gid=1001,mode=2750' } });
    const { uid, gid, mode } = statSync(mountPoint);
    expect([uid, gid, (mode & 0o7777).toString(8)]).toEqual([1000, 1001, '2750']);
    await create('zero', { options: { size: '0' } });
    expect(limits()).toEqual([1_048_576]);
  });

  it('is found with its limit by an engine without a row of it', async () => {
    await create('sized', { options: { size: '10m' } });
    const other = Database.open(':memory:');
    volumes = volumesWith(quotasFor(calls), other);
    await volumes.adopt();
    expect(volumes.get('sized').options).toEqual({ size: '10485760' });
    await volumes.remove('sized', { force: false });
    expect(limits()).toEqual([]);
    other[Symbol.dispose]();
  });

  it('leaves nothing when the n-th call fails', async () => {
    let failed = 0;
    for (let n = 1; ; n += 1) {
      calls.failAt(n, 'EIO');
      const [outcome] = await Promise.allSettled([create('sized', { options: { size: '10m' } })]);
      if (calls.pendingFailure) break;
      failed += 1;
      expect(outcome.status).toBe('rejected');
      expect([volumes.list(), limits(), readdirSync(root)]).toEqual([[], [], []]);
    }
    expect(failed).toBe(3);
  });

  it('is no file system of its own', async () => {
    const options = { size: '10m', type: 'tmpfs', device: 'tmpfs' };
    await expect(create('both', { options })).rejects.toThrow('cannot be combined with "type" and "device"');
  });
});

describe('directories that no row tells of', () => {
  it('are taken up, with the options that Docker left beside them', async () => {
    mkdirSync(join(root, 'old', '_data'), { recursive: true });
    writeFileSync(
      join(root, 'old', 'opts.json'),
      '{"MountType":"tmpfs","MountOpts":"","MountDevice":"t","Quota":{"Size":0}}',
    );
    mkdirSync(join(root, 'not a volume', '_data'), { recursive: true });
    writeFileSync(join(root, 'metadata.db'), '');
    await volumes.adopt();
    await volumes.adopt();
    expect(volumes.list().map(({ name, options, anonymous }) => [name, options, anonymous])).toEqual([
      ['old', { type: 'tmpfs', device: 't' }, false],
    ]);
  });
});

describe('addresses', () => {
  const share = (o: string, device = ':/export', type = 'nfs'): Promise<Mount> =>
    withAddresses({ type, source: device, options: o.split(',') }, async (host) => {
      if (host === 'nowhere') throw Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' });
      return '192.0.2.7';
    });

  it('take the place of names', async () => {
    expect((await share('addr=nas,ro')).options).toEqual(['addr=192.0.2.7', 'ro']);
    expect((await share('addr=192.0.2.1')).options).toEqual(['addr=192.0.2.1']);
    expect((await share('user=a', '//nas/share/sub', 'cifs')).source).toBe('//192.0.2.7/share/sub');
    expect((await share('addr=nas', 'x', 'tmpfs')).options).toEqual(['addr=nas']);
  });

  it('that are not to be had are told', async () => {
    await expect(share('addr=nowhere')).rejects.toThrow(
      'error resolving passed in network volume address: lookup nowhere: no such host',
    );
  });
});
