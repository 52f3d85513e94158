/** Whatever fails and whoever is killed, wherever: the next daemon finds each device with its one owner. */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DevicemapperDriver } from '../../src/engine/storage/devicemapper/driver.ts';
import { inconsistencies, openFakeDevicemapper } from '../support/fake-devicemapper.ts';
import { FakeThinPool } from '../support/fake-thin-pool.ts';

const GIB = 1024 ** 3;
/** What is written is on the disk, hundreds of times. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
let scratch: string;

beforeEach(() => {
  scratch = mkdtempSync(join(MEMORY, 'devicemapper-fault-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

/** A layer, on which another and a container stand, and what comes and goes with them. */
async function story(driver: DevicemapperDriver): Promise<void> {
  await driver.prepare('extract-1', null);
  await driver.release('extract-1');
  await driver.commit('extract-1', 'sha256:base');
  await driver.prepare('extract-2', 'sha256:base');
  await driver.commit('extract-2', 'sha256:next');
  await driver.prepare('container', 'sha256:next', { sizeBytes: 20 * GIB });
  await driver.view('view', 'sha256:next');
  await driver.release('view');
  await driver.remove('view');
  await driver.mounts('container');
  await driver.prepare('extract-3', 'sha256:base');
  await driver.replace('extract-3', 'sha256:next');
  await driver.remove('container');
  await driver.remove('sha256:next');
  await driver.remove('sha256:base');
}

/** Removes what a start-up of the engine would. */
async function removeAll(driver: DevicemapperDriver): Promise<void> {
  const keys = (await Array.fromAsync(driver.walk())).map(({ key }) => key);
  for (const key of ['view', 'container', 'extract-3', 'extract-2', 'extract-1', 'sha256:next', 'sha256:base']) {
    if (keys.includes(key)) await driver.remove(key);
  }
}

describe('devicemapper', () => {
  it('leaves nothing of its story', async () => {
    const [root, pool] = [join(scratch, 'dm'), new FakeThinPool()];
    await story(await openFakeDevicemapper(root, pool));
    expect(await inconsistencies(root, pool)).toEqual([]);
    expect([pool.devices.size, pool.activeNames]).toEqual([1, []]);
  });

  it('is whole again after a power cut at any call to the pool', async () => {
    const [root, pool] = [join(scratch, 'dm'), new FakeThinPool()];
    const images: { readonly name: string; readonly root: string; readonly pool: FakeThinPool }[] = [];
    pool.watch = async (call, when) => {
      const image = {
        name: `${when} ${call}`,
        root: join(scratch, `image-${String(images.length)}`),
        pool: pool.copy(),
      };
      cpSync(root, image.root, { recursive: true });
      await Promise.resolve(images.push(image));
    };
    await story(await openFakeDevicemapper(root, pool));
    expect(images.length).toBeGreaterThan(60);
    for (const image of images) {
      const driver = await openFakeDevicemapper(image.root, image.pool);
      expect(await inconsistencies(image.root, image.pool), image.name).toEqual([]);
      expect(image.pool.activeNames, image.name).toEqual([]);
      for await (const { key, kind } of driver.walk()) {
        if (kind === 'committed') expect(await driver.examine(key), `${image.name}: ${key}`).toBeNull();
      }
      await removeAll(driver);
      expect(await inconsistencies(image.root, image.pool), image.name).toEqual([]);
      expect(image.pool.devices.size, image.name).toBe(1);
    }
  });

  it.each(['EIO', 'EBUSY', 'ENOSPC', 'EEXIST'])('is whole again after any one call failed with %s', async (errno) => {
    for (let n = 1, isPending = false; !isPending; n += 1) {
      const [root, pool] = [join(scratch, `dm-${String(n)}`), new FakeThinPool()];
      const driver = await openFakeDevicemapper(root, pool);
      pool.failAt(n, errno);
      const failure = await story(driver).then(
        () => null,
        (error: unknown) => error,
      );
      isPending = pool.pendingFailure;
      pool.heal();
      if (isPending) expect(failure).toBeNull();
      await driver[Symbol.asyncDispose]();
      const next = await openFakeDevicemapper(root, pool);
      expect(await inconsistencies(root, pool), `call ${String(n)}: ${String(failure)}`).toEqual([]);
      await removeAll(next);
      expect(await inconsistencies(root, pool), `call ${String(n)}: ${String(failure)}`).toEqual([]);
      expect([pool.devices.size, pool.activeNames], `call ${String(n)}: ${String(failure)}`).toEqual([1, []]);
    }
  });

  it('is whole again when it is opened after any one call of its first start failed', async () => {
    for (let n = 1, isPending = false; !isPending; n += 1) {
      const [root, pool] = [join(scratch, `first-${String(n)}`), new FakeThinPool()];
      pool.failAt(n, 'EIO');
      const failure = await openFakeDevicemapper(root, pool).then(
        () => null,
        (error: unknown) => error,
      );
      isPending = pool.pendingFailure;
      pool.heal();
      expect(failure === null).toBe(isPending);
      const driver = await openFakeDevicemapper(root, pool);
      expect(await inconsistencies(root, pool), `call ${String(n)}`).toEqual([]);
      await story(driver);
      expect([pool.devices.size, pool.activeNames]).toEqual([1, []]);
    }
  });
});
