/** Project quotas on real file systems. Kernels that were built without them say so (this machine's, perhaps; test/vm's has them). */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { messageOf } from '../../src/base/errors.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { createProjectQuotaCalls } from '../../src/engine/kernel/linux/quota.ts';
import { Overlay2Driver } from '../../src/engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { ProjectQuotas } from '../../src/engine/storage/quota/project.ts';
import { LocalVolumeDriver } from '../../src/engine/volumes/local/driver.ts';
import { refusalOf, REFUSALS } from '../support/bounded-writer.ts';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';
import { describeDirectoryQuotas } from './directory-quotas.contract.ts';

const MIB = 1024 * 1024;
const KINDS: readonly (readonly [DiskKind, readonly string[]])[] = [
  ['ext4', ['-O', 'quota,project', '-E', 'quotatype=prjquota']],
  ['xfs', []],
];
const kernel = createLinuxKernel();
const calls = createProjectQuotaCalls();

describe.each(KINDS)('project quotas on %s', (kind, mkfs) => {
  let disk: LoopDisk | null = null;
  let obstacle: string | null = null;
  let root = '';

  beforeAll(async () => {
    obstacle = LoopDisk.obstacle(kind);
    if (obstacle !== null) return;
    try {
      disk = await LoopDisk.make(kind, { mkfs, mountOptions: ['prjquota'] });
    } catch (error) {
      obstacle = `this kernel mounts no ${kind} with project quotas: ${messageOf(error)}`;
    }
  });
  afterAll(async () => disk?.[Symbol.asyncDispose]());
  beforeEach((context) => {
    if (disk === null) context.skip(obstacle ?? 'there is no disk');
    else root = mkdtempSync(join(disk.path, 'test-'));
  });

  const open = (): ProjectQuotas => ProjectQuotas.open({ root, filesystem: kind, calls });

  describeDirectoryQuotas(kind, async () => {
    const dispose = async (): Promise<void> => rm(root, { recursive: true });
    return Promise.resolve({ root, quotas: open(), reopen: async () => Promise.resolve(open()), dispose });
  });

  it('takes projects of others for taken, also across roots', async () => {
    const [one, other] = [open(), open()];
    await one.make(join(root, 'a'), { sizeBytes: MIB, mode: 0o755 });
    await other.make(join(root, 'b'), { sizeBytes: MIB, mode: 0o755 });
    mkdirSync(join(root, 'c'));
    calls.setProject(join(root, 'c'), calls.projectOf(join(root, 'b')) + 1);
    await other.make(join(root, 'd'), { sizeBytes: MIB, mode: 0o755 });
    const projects = ['a', 'b', 'c', 'd'].map((name) => calls.projectOf(join(root, name)));
    expect(new Set(projects).size).toBe(4);
    for (const name of ['a', 'b', 'd']) await one.drop(join(root, name));
    expect(projects.map((project) => calls.usage(root, project)?.limitBytes ?? 0)).toEqual([0, 0, 0, 0]);
  });

  it('is asked on the device where the kernel is older than quotactl_fd(2)', async () => {
    const byDevice = createProjectQuotaCalls({ byDevice: true });
    expect(byDevice.state(root)).toBe('enforced');
    const quotas = ProjectQuotas.open({ root, filesystem: kind, calls: byDevice });
    await quotas.make(join(root, 'limited'), { sizeBytes: 3 * MIB, mode: 0o700 });
    const project = byDevice.projectOf(join(root, 'limited'));
    expect(calls.usage(root, project)).toMatchObject({ limitBytes: 3 * MIB });
    expect(byDevice.usage(root, project)).toEqual(calls.usage(root, project));
    await quotas.drop(join(root, 'limited'));
    expect(calls.usage(root, project)?.limitBytes).toBe(0);
  });

  describe('overlay2', () => {
    async function driver(...storageOptions: readonly string[]): Promise<Overlay2Driver> {
      const probe = await probeOverlay2(kernel, root);
      if (!probe.works) throw new Error(probe.reason);
      return Overlay2Driver.open({ root, support: probe.support, quotas: open(), storageOptions });
    }

    it('bounds what a container writes, and nothing that it does with its layers', async () => {
      const overlay = await driver('overlay2.size=6m');
      const layer = await overlay.prepare('extract', null);
      mkdirSync(join(layer[0]?.source ?? '', 'etc/deep'), { recursive: true });
      for (const name of ['one', 'two', 'deep/three']) {
        writeFileSync(join(layer[0]?.source ?? '', 'etc', name), randomBytes(MIB / 2));
      }
      await overlay.commit('extract', 'base');
      const [mount] = await overlay.prepare('container', 'base', { sizeBytes: null });
      expect([await overlay.isLimited('base'), await overlay.isLimited('container')]).toEqual([false, true]);
      const target = mkdtempSync(join(root, 'merged-'));
      kernel.mounts.mount(mount ?? never(), target);
      try {
        // Copied up, replaced by a whiteout, renamed over, linked, made opaque: overlay renames in all of them.
        appendFileSync(join(target, 'etc/one'), 'more');
        unlinkSync(join(target, 'etc/two'));
        renameSync(join(target, 'etc/one'), join(target, 'etc/two'));
        linkSync(join(target, 'etc/two'), join(target, 'link'));
        rmSync(join(target, 'etc/deep'), { recursive: true });
        mkdirSync(join(target, 'etc/deep'));
        expect(readFileSync(join(target, 'link')).length).toBe(MIB / 2 + 4);
        expect(refusalOf(join(target, 'big'), 32 * MIB)).toMatch(REFUSALS);
        unlinkSync(join(target, 'big'));
        await kernel.mounts.syncFilesystem(root);
        writeFileSync(join(target, 'again'), 'x');
      } finally {
        kernel.mounts.unmount(target);
      }
      writeFileSync(join(root, 'beside'), Buffer.alloc(10 * MIB));
      const project = calls.projectOf(join(root, 'l', linkOf(mount?.options ?? []), '..'));
      expect(calls.usage(root, project)?.limitBytes).toBe(6 * MIB);
      await overlay.remove('container');
      expect(calls.usage(root, project)?.limitBytes ?? 0).toBe(0);
      expect(readdirSync(join(root, 'l'))).toHaveLength(1);
    });
  });

  it('bounds a local volume', async () => {
    const volumes = new LocalVolumeDriver(join(root, 'volumes'), { quotas: open() });
    const options = { size: '4m' };
    volumes.validate(options);
    await volumes.create('data', options);
    const mountPoint = volumes.mountPointOf('data');
    expect(refusalOf(join(mountPoint, 'file'), 32 * MIB)).toMatch(REFUSALS);
    const project = calls.projectOf(mountPoint);
    const rest = { name: 'data', driver: 'local', createdAt: 0n, mountPoint, labels: {}, anonymous: false, options };
    await volumes.remove(rest as unknown as Parameters<LocalVolumeDriver['remove']>[0]);
    expect(existsSync(mountPoint)).toBe(false);
    expect(calls.usage(root, project)?.limitBytes ?? 0).toBe(0);
  });
});

function linkOf(options: readonly string[]): string {
  return /upperdir=.*\/l\/([A-Z2-7]{8}\/upper)/.exec(options.join(','))?.[1] ?? '';
}

function never(): never {
  throw new Error('no mount');
}
