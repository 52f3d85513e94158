/** Real file systems on devicemapper's devices: on loop devices here, on thin pools in the emulated machine. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/base/errors.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import type { Mount } from '../../src/engine/oci/mount.ts';
import { openTestDevicemapper, type TestDevicemapper } from '../support/devicemapper.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const MIB = 1024 * 1024;
const kernel = createLinuxKernel();

/** CAP_SYS_RESOURCE is bit 24. */
function mayGrowExt4(): boolean {
  const [, mask = '0'] = /^CapEff:\t([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return ((BigInt(`0x${mask}`) >> 24n) & 1n) === 1n;
}

describe.each(['ext4', 'xfs'] as const)('devicemapper with %s', (fileSystem) => {
  let scratch: string;
  let opened: TestDevicemapper;

  beforeEach(async (context) => {
    const obstacle = LoopDisk.obstacle(fileSystem);
    if (obstacle !== null) context.skip(obstacle);
    scratch = mkdtempSync(join(tmpdir(), 'devicemapper-'));
    opened = await openTestDevicemapper(join(scratch, 'devicemapper'), kernel, { fileSystem });
  });
  afterEach(async () => {
    await opened[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true });
  });

  /** Mounts until disposed of. */
  function mounted([mount]: readonly Mount[]): Disposable & { readonly path: string } {
    const path = mkdtempSync(join(scratch, 'mounted-'));
    kernel.mounts.mount(mount!, path);
    return { path, [Symbol.dispose]: () => kernel.mounts.unmount(path) };
  }

  it('has a parent, its children and a device twice mounted at one time, all alike at first', async () => {
    const { driver } = opened;
    {
      using layer = mounted(await driver.prepare('extract-a', null));
      expect(readdirSync(layer.path)).toEqual([]);
      writeFileSync(join(layer.path, 'file'), 'layer');
      kernel.mounts.unmount(layer.path);
      kernel.mounts.mount((await driver.mounts('extract-a'))[0]!, layer.path);
    }
    await driver.commit('extract-a', 'a');
    expect(await opened.devices()).toEqual([]);
    {
      using parent = mounted(await driver.view('view', 'a'));
      using one = mounted(await driver.prepare('one', 'a'));
      using two = mounted(await driver.prepare('two', 'a'));
      using again = mounted(await driver.mounts('one'));
      const places = [parent, one, two, again];
      for (const { path } of places) expect(readFileSync(join(path, 'file'), 'utf8')).toBe('layer');
      writeFileSync(join(one.path, 'file'), 'one');
      expect(places.map(({ path }) => readFileSync(join(path, 'file'), 'utf8'))).toEqual([
        'layer',
        'one',
        'layer',
        'one',
      ]);
      expect(await opened.devices()).toHaveLength(3);
      await driver.release('one');
      await driver.release('one');
      expect(await opened.devices()).toHaveLength(3);
    }
    for (const key of ['view', 'two', 'one', 'a']) await driver.remove(key);
    expect(await opened.devices()).toEqual([]);
  });

  it('grows for a container that asks for more', async (context) => {
    if (fileSystem === 'ext4' && !mayGrowExt4()) context.skip('growing a mounted ext4 needs CAP_SYS_RESOURCE');
    const { driver } = opened;
    {
      using usual = mounted(await driver.prepare('usual', null));
      using large = mounted(await driver.prepare('large', null, { sizeBytes: 640 * MIB }));
      const sizes = [usual, large].map(({ path }) => statfsSync(path)).map(({ blocks, bsize }) => blocks * bsize);
      expect(sizes[0]).toBeLessThan(330 * MIB);
      expect(sizes[1]).toBeGreaterThan(500 * MIB);
    }
    for (const key of ['usual', 'large']) await driver.remove(key);
    expect(readdirSync(scratch).filter((name) => name === 'mounts' || name.startsWith('device-'))).toEqual(['mounts']);
    expect(readdirSync(join(scratch, 'mounts'))).toEqual([]);
  });

  it('says when its base is not what it was', async () => {
    const root = join(scratch, 'devicemapper');
    await opened[Symbol.asyncDispose]();
    const path = join(root, '.pool/base.json');
    const base = readFileSync(path, 'utf8');
    writeFileSync(path, base.replace(/"uuid":"[0-9a-f]/, '"uuid":"x'));
    await expect(openTestDevicemapper(root, kernel, { fileSystem })).rejects.toThrow(UnavailableError);
    writeFileSync(path, base);
    opened = await openTestDevicemapper(root, kernel, { fileSystem });
  });
});
