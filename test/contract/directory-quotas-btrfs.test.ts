import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { BtrfsQuotas } from '../../src/engine/storage/btrfs/quotas.ts';
import { Overlay2Driver } from '../../src/engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { describeDirectoryQuotas } from './directory-quotas.contract.ts';

const MIB = 1024 * 1024;
const obstacle = LoopDisk.obstacle('btrfs');

describe('directory quotas on Btrfs', () => {
  if (obstacle !== null) {
    it('work', (context) => context.skip(obstacle));
    return;
  }
  let disk: LoopDisk;
  beforeAll(async () => {
    disk = await LoopDisk.make('btrfs');
    execFileSync('btrfs', ['quota', 'enable', disk.path]);
  });
  afterAll(async () => disk[Symbol.asyncDispose]());

  describeDirectoryQuotas('btrfs', async () => {
    const root = mkdtempSync(join(disk.path, 'limited-'));
    const open = async (): Promise<BtrfsQuotas> => BtrfsQuotas.open({ root, calls: new LinuxBtrfs() });
    return { root, quotas: await open(), reopen: open, dispose: async () => Promise.resolve() };
  });

  it('bounds a container on overlay2, whose upper and work directories share a subvolume', async () => {
    const kernel = createLinuxKernel();
    const root = mkdtempSync(join(disk.path, 'overlay2-'));
    const probe = await probeOverlay2(kernel, root);
    if (!probe.works) throw new Error(probe.reason);
    const quotas = await BtrfsQuotas.open({ root, calls: new LinuxBtrfs() });
    const driver = await Overlay2Driver.open({ root, support: probe.support, quotas });
    await driver.prepare('extract', null);
    writeFileSync(join((await driver.layerRoot('extract')).path, 'file'), 'x'.repeat(1000));
    await driver.commit('extract', 'base');
    const [mount] = await driver.prepare('container', 'base', { sizeBytes: 8 * MIB });
    const merged = join(root, 'merged');
    mkdirSync(merged);
    if (mount !== undefined) kernel.mounts.mount(mount, merged);
    try {
      // Copied up, which is a rename from the work directory.
      appendFileSync(join(merged, 'file'), 'y');
      writeFileSync(join(merged, 'fits'), Buffer.alloc(4 * MIB));
      expect(() => writeFileSync(join(merged, 'too-much'), Buffer.alloc(16 * MIB))).toThrow();
    } finally {
      kernel.mounts.unmount(merged);
    }
    rmSync(merged, { recursive: true });
    await driver.remove('container');
    await driver.remove('base');
    expect(readdirSync(join(root, 'l'))).toEqual([]);
  });
});
