import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ConflictError,
  DataLossError,
  InvalidArgumentError,
  NotFoundError,
  UnavailableError,
} from '../../../../../src/base/errors.ts';
import type { DevicemapperDriver } from '../../../../../src/engine/storage/devicemapper/driver.ts';
import { Ledger } from '../../../../../src/engine/storage/devicemapper/ledger.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import {
  BASE_BYTES,
  inconsistencies,
  openFakeDevicemapper,
  PREFIX,
  type FakeDriverOptions,
} from '../../../../support/fake-devicemapper.ts';
import { FakeFileSystems, FakeThinPool } from '../../../../support/fake-thin-pool.ts';

const GIB = 1024 ** 3;

describe('the devicemapper driver', () => {
  let scratch: string;
  let root: string;
  let pool: FakeThinPool;

  beforeEach(() => {
    scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'devicemapper-'));
    root = join(scratch, 'devicemapper');
    pool = new FakeThinPool();
  });
  afterEach(() => rmSync(scratch, { recursive: true }));

  const open = async (options: FakeDriverOptions = {}): Promise<DevicemapperDriver> =>
    openFakeDevicemapper(root, pool, options);

  async function layer(driver: DevicemapperDriver, key: string, parent: string | null): Promise<void> {
    await driver.prepare(`extract-${key}`, parent);
    await driver.release(`extract-${key}`);
    await driver.commit(`extract-${key}`, key);
  }

  const deviceOf = async (driver: DevicemapperDriver, key: string): Promise<string> =>
    (await driver.describe(key))['DeviceName'] ?? '';

  it('mounts devices writable while they are active, and read-only else', async () => {
    const driver = await open({ settings: { mountWords: ['nodiscard'] } });
    const [active] = await driver.prepare('extract-a', null);
    expect(active).toMatchObject({ type: 'xfs', options: ['rw', 'nouuid', 'nodiscard'] });
    await driver.commit('extract-a', 'a');
    const [view] = await driver.view('view', 'a');
    expect(view).toMatchObject({ type: 'xfs', source: active?.source, options: ['ro', 'nouuid', 'nodiscard'] });
    expect(await driver.describe('a')).toEqual({
      DeviceId: '2',
      DeviceName: `${PREFIX}2`,
      DeviceSize: String(BASE_BYTES),
    });
  });

  it('keeps a device for as long as anybody holds it', async () => {
    const driver = await open();
    await layer(driver, 'a', null);
    expect(pool.activeNames).toEqual([]);
    await driver.view('one', 'a');
    await driver.view('two', 'a');
    await driver.mounts('a');
    for (const key of ['one', 'a']) {
      await driver.release(key);
      expect(pool.activeNames).toHaveLength(1);
    }
    await driver.remove('two');
    expect(pool.activeNames).toEqual([]);
    await driver.release('never');
  });

  it('lets a device that is still mounted go when it no longer is, and takes it back when it is needed', async () => {
    const driver = await open();
    await driver.prepare('container', null);
    const name = await deviceOf(driver, 'container');
    pool.open(name, 1);
    await driver.release('container');
    expect(pool.activeNames).toEqual([name]);
    await driver.mounts('container');
    pool.open(name, -1);
    expect(pool.activeNames).toEqual([name]);
    await driver.release('container');
    expect(pool.activeNames).toEqual([]);
  });

  it('finds running containers after a restart, and switches off what nobody has open', async () => {
    const before = await open();
    await before.prepare('running', null);
    await before.prepare('idle', null);
    const name = await deviceOf(before, 'running');
    pool.open(name, 1);
    const driver = await open();
    expect(pool.activeNames).toEqual([name]);
    await driver.mounts('running');
    await driver.release('running');
    expect(pool.activeNames).toEqual([name]);
    pool.open(name, -1);
    await driver.release('running');
    expect(pool.activeNames).toEqual([]);
  });

  it('without deferred removal leaves a mounted device to the next release', async () => {
    const driver = await open({ settings: { deferredRemoval: false } });
    await driver.prepare('container', null);
    const name = await deviceOf(driver, 'container');
    pool.open(name, 1);
    await driver.release('container');
    pool.open(name, -1);
    expect(pool.activeNames).toEqual([name]);
    await driver.release('container');
    expect(pool.activeNames).toEqual([]);
  });

  it('deletes a device that is busy later, also after a restart', async () => {
    const clock = new FakeClock();
    const facts: number[] = [];
    const describePool = async ({ doomedCount }: { readonly doomedCount: number }): Promise<[]> =>
      await Promise.resolve(facts.push(doomedCount)).then(() => []);
    let driver = await open({ clock, more: { describePool } });
    await driver.prepare('container', null);
    const name = await deviceOf(driver, 'container');
    pool.open(name, 1);
    await driver.remove('container');
    expect(await driver.stat('container')).toBeNull();
    await driver.prepare('container', null);
    expect(await deviceOf(driver, 'container')).not.toBe(name);
    await driver.status();
    await driver[Symbol.asyncDispose]();
    driver = await open({ clock, more: { describePool } });
    await driver.status();
    expect(pool.devices.has(2)).toBe(true);
    pool.open(name, -1);
    await clock.advance(30_000);
    await expect.poll(() => pool.devices.has(2)).toBe(false);
    await expect.poll(() => readdirSync(join(root, '.pool/deleted'))).toEqual([]);
    await driver.status();
    expect(facts).toEqual([1, 1, 0]);
    expect(await inconsistencies(root, pool)).toEqual([]);
  });

  it('without deferred deletion refuses to remove what is busy', async () => {
    const clock = new FakeClock();
    const driver = await open({ clock, settings: { deferredDeletion: false } });
    await driver.prepare('container', null);
    const name = await deviceOf(driver, 'container');
    pool.open(name, 1);
    const removing = driver.remove('container');
    const told = expect(removing).rejects.toThrow(
      new ConflictError('failed to remove device container: Device is Busy'),
    );
    const isOver = removing.then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([isOver, new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))]))) {
      await clock.advance(50);
    }
    await told;
    expect(await driver.stat('container')).toMatchObject({ kind: 'active' });
    pool.open(name, -1);
    await driver.remove('container');
    expect(pool.devices.size).toBe(1);
  });

  it('gives a container the size that it asks for', async () => {
    const fileSystems = new FakeFileSystems(pool);
    const driver = await open({ fileSystems, settings: { fileSystem: 'ext4', baseSizeBytes: 5 * GIB } });
    await layer(driver, 'a', null);
    await driver.prepare('large', 'a', { sizeBytes: 7 * GIB });
    expect(await driver.describe('large')).toMatchObject({ DeviceSize: String(7 * GIB) });
    expect(fileSystems.made).toEqual(['make ext4', 'clear', 'grow ext4']);
    await expect(driver.prepare('small', 'a', { sizeBytes: GIB })).rejects.toThrow(
      new InvalidArgumentError('devmapper: Container size cannot be smaller than 5.369GB'),
    );
    fileSystems.failure = new UnavailableError('resize2fs: no');
    await expect(driver.prepare('huge', 'a', { sizeBytes: 9 * GIB })).rejects.toThrow('resize2fs: no');
    expect(await driver.stat('huge')).toBeNull();
    expect(await inconsistencies(root, pool)).toEqual([]);
  });

  it('begins nothing in a pool that is nearly full or out of order, and still removes', async () => {
    const driver = await open();
    await layer(driver, 'a', null);
    pool.data = { ...pool.data, usedBytes: 901 * 65_536 };
    await expect(driver.prepare('one', 'a')).rejects.toThrow(
      new UnavailableError(
        'devmapper: Thin Pool has 99 free data blocks which is less than minimum required 100 free data blocks. Create more free space in thin pool or use dm.min_free_space option to change behavior',
      ),
    );
    pool.data = { ...pool.data, usedBytes: 0 };
    pool.metadata = { ...pool.metadata, usedBytes: 91 * 4096 };
    await expect(driver.prepare('one', 'a')).rejects.toThrow(
      /^devmapper: Thin Pool has 9 free metadata blocks which is less than minimum required 10 free metadata blocks\. Create more free metadata space/,
    );
    pool.metadata = { ...pool.metadata, usedBytes: 0 };
    for (const mode of ['out-of-data-space', 'ro', 'failed'] as const) {
      pool.mode = mode;
      await expect(driver.prepare('one', 'a')).rejects.toThrow(UnavailableError);
    }
    expect(await driver.stat('one')).toBeNull();
    pool.mode = 'out-of-data-space';
    await driver.remove('a');
    expect(pool.devices.size).toBe(1);
  });

  it('takes no pool that is not its own, or not as it left it', async () => {
    pool.data = { ...pool.data, usedBytes: 65_536 };
    await expect(open()).rejects.toThrow(
      new UnavailableError(
        'devmapper: Unable to take ownership of thin-pool (docker-pool) that already has used data blocks',
      ),
    );
    pool.data = { ...pool.data, usedBytes: 0 };
    pool.transactionId = 7n;
    await expect(open()).rejects.toThrow(/\(docker-pool\) with non-zero transaction ID$/);
    pool.transactionId = 0n;
    const driver = await open();
    await layer(driver, 'a', null);
    pool.transactionId = 1n;
    await expect(open()).resolves.toBeDefined();
    pool.transactionId = 0n;
    await expect(open()).rejects.toThrow(/is at transaction 0, not at 1: it was put back from an older copy/);
    pool.transactionId = 5n;
    await expect(open()).rejects.toThrow(/is at transaction 5, not at 1: somebody else has used it/);
  });

  it('knows its base, and says when it is another', async () => {
    await open();
    const base = pool.devices.get(1)!;
    const { content } = base;
    base.content = { type: 'xfs', uuid: 'other', sizeBytes: 1 };
    await expect(open()).rejects.toThrow(/Current Base Device UUID:other does not match with stored UUID:uuid-/);
    base.content = content;
    pool.devices.delete(1);
    await expect(open()).rejects.toThrow(/has no device 1\. Possibly using a different thin pool/);
    pool.devices.set(1, base);
    await open({ settings: { fileSystem: 'ext4' } });
  });

  it('makes its base again when it was not completed', async () => {
    const fileSystems = new FakeFileSystems(pool);
    fileSystems.failure = new UnavailableError('mkfs.xfs: no');
    await expect(open({ fileSystems })).rejects.toThrow('mkfs.xfs: no');
    expect(pool.activeNames).toEqual([]);
    fileSystems.failure = null;
    await open({ fileSystems, settings: { mkfsWords: ['-L', 'x'] } });
    expect(fileSystems.made).toEqual(['make xfs -L x', 'clear']);
    expect(await inconsistencies(root, pool)).toEqual([]);
  });

  it('grows its base and never shrinks it', async () => {
    await layer(await open(), 'a', null);
    const fileSystems = new FakeFileSystems(pool);
    fileSystems.failure = new UnavailableError('killed');
    await expect(open({ fileSystems, settings: { baseSizeBytes: 20 * GIB } })).rejects.toThrow('killed');
    fileSystems.failure = null;
    const driver = await open({ fileSystems });
    expect(fileSystems.made).toEqual(['grow xfs']);
    await driver.prepare('new', null);
    await driver.prepare('old', 'a');
    expect(await driver.describe('new')).toMatchObject({ DeviceSize: String(20 * GIB) });
    expect(await driver.describe('old')).toMatchObject({ DeviceSize: String(10 * GIB) });
    await expect(open({ settings: { baseSizeBytes: GIB } })).rejects.toThrow(
      new InvalidArgumentError('devmapper: Base device size cannot be smaller than 21.47GB'),
    );
  });

  it('begins the numbers anew when they are used up, and takes only free ones', async () => {
    const driver = await open({ more: { highestDeviceId: 5 } });
    for (const key of ['a', 'b', 'c', 'd']) await driver.prepare(key, null);
    await expect(driver.prepare('e', null)).rejects.toThrow('devmapper: Unable to find a free device ID');
    await driver.remove('b');
    await driver.prepare('e', null);
    expect(await driver.describe('e')).toMatchObject({ DeviceId: '3' });
    const again = await open({ more: { highestDeviceId: 5 } });
    await again.remove('c');
    await again.prepare('f', null);
    expect(await again.describe('f')).toMatchObject({ DeviceId: '4' });
    expect(await inconsistencies(root, pool)).toEqual([]);
  });

  it('passes over devices that somebody else has made, up to a number', async () => {
    const driver = await open();
    pool.devices.set(2, { content: null });
    await driver.prepare('one', null);
    expect(await driver.describe('one')).toMatchObject({ DeviceId: '3' });
    for (let id = 4; id < 40; id += 1) pool.devices.set(id, { content: null });
    await expect(driver.prepare('two', null)).rejects.toThrow(/has devices that are not Docker's/);
    expect(pool.devices.size).toBe(39);
  });

  it('tells what is wrong with a snapshot', async () => {
    const driver = await open();
    await layer(driver, 'a', null);
    await layer(driver, 'b', null);
    expect(await driver.examine('a')).toBeNull();
    pool.devices.delete(2);
    expect(await driver.examine('a')).toBe('its device 2 is missing');
    await expect(driver.mounts('a')).rejects.toThrow(
      new DataLossError('devmapper: device 2 of a is missing in thin pool docker-pool'),
    );
    await expect(driver.prepare('c', 'a')).rejects.toThrow(DataLossError);
    expect(await driver.stat('c')).toBeNull();
    writeFileSync(join(root, 'b/device.json'), '{');
    expect(await driver.examine('b')).toBe('it does not know its device');
    await expect(driver.mounts('b')).rejects.toThrow(DataLossError);
    for (const key of ['a', 'b']) await driver.remove(key);
    await expect(driver.examine('a')).resolves.toBe('its description is missing');
    await expect(driver.mounts('a')).rejects.toThrow(NotFoundError);
  });
});

describe('the ledger', () => {
  let path: string;
  beforeEach(() => {
    path = join(mkdtempSync(join(tmpdir(), 'ledger-')), 'ledger');
  });
  afterEach(() => rmSync(join(path, '..'), { recursive: true }));

  it('survives a write that was cut off', async () => {
    const ledger = await Ledger.open(path);
    const entry = (n: number) =>
      ({ transactionId: BigInt(n), opening: n, nextDeviceId: n + 1, isSecondRound: false }) as const;
    for (const n of [1, 2, 3]) await ledger.write(entry(n));
    expect((await Ledger.open(path)).entry).toEqual(entry(3));
    const bytes = Buffer.alloc(1024, 'x');
    writeFileSync(path, bytes.subarray(0, 600), { flag: 'r+' });
    await expect(Ledger.open(path)).rejects.toThrow(DataLossError);
    rmSync(path);
    const again = await Ledger.open(path);
    for (const n of [1, 2, 3]) await again.write(entry(n));
    // The third was written over the first.
    const { open: openFile } = await import('node:fs/promises');
    await using file = await openFile(path, 'r+');
    await file.write('torn', 512 + 20);
    expect((await Ledger.open(path)).entry).toEqual(entry(2));
  });
});
