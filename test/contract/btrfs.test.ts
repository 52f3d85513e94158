/** The ioctls of Btrfs, and a data root that becomes a subvolume, on a loop disk. */
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { makeOwnSubvolume } from '../../src/engine/storage/btrfs/data-root.ts';
import { measureTrees } from '../../src/engine/storage/layers/measure/measure-trees.ts';
import { copyTree } from '../../src/engine/storage/layers/pack/copy-tree.ts';
import { packTree } from '../../src/engine/storage/layers/pack/pack-tree.ts';
import { measureTree } from '../../src/engine/storage/tree-usage.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const obstacle = LoopDisk.obstacle('btrfs');
const MIB = 1024 * 1024;

describe('Btrfs', () => {
  if (obstacle !== null) {
    it('has subvolumes', (context) => context.skip(obstacle));
    return;
  }
  const calls = new LinuxBtrfs();
  let disk: LoopDisk;
  let root: string;
  let count = 0;
  const at = (...words: readonly string[]): string => join(root, ...words);

  beforeAll(async () => {
    disk = await LoopDisk.make('btrfs');
  });
  afterAll(async () => disk[Symbol.asyncDispose]());
  beforeEach(() => {
    root = join(disk.path, `case-${String(++count)}`);
    mkdirSync(root);
  });

  it('makes subvolumes and tells them from directories', async () => {
    await calls.create(at('one'));
    mkdirSync(at('plain'));
    writeFileSync(at('file'), 'x');
    expect(await calls.look(at('one'))).toMatchObject({ isReadOnly: false });
    for (const path of [at('plain'), at('file'), at('never'), '/', '/proc']) expect(await calls.look(path)).toBeNull();
    await expect(calls.create(at('one'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(calls.create(at('no/where'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(calls.create(at('x'.repeat(256)))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
    await expect(calls.create(join('/proc', 'x'))).rejects.toThrow(KernelError);
  });

  it('takes snapshots that go their own way', async () => {
    await calls.create(at('one'));
    writeFileSync(at('one', 'file'), 'as it was');
    await calls.snapshot(at('one'), at('two'));
    writeFileSync(at('one', 'file'), 'changed');
    expect(readFileSync(at('two', 'file'), 'utf8')).toBe('as it was');
    const [one, two] = [await calls.look(at('one')), await calls.look(at('two'))];
    expect(two?.id).not.toBe(one?.id);
    expect(two?.madeIn).toBeGreaterThanOrEqual(one?.madeIn ?? 0n);
    mkdirSync(at('plain'));
    await expect(calls.snapshot(at('plain'), at('three'))).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(calls.snapshot(at('one'), at('two'))).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('forbids writing, and allows it again', async () => {
    await calls.create(at('one'));
    await calls.setReadOnly(at('one'), true);
    expect(() => writeFileSync(at('one', 'file'), 'x')).toThrow('EROFS');
    expect((await calls.look(at('one')))?.isReadOnly).toBe(true);
    await calls.setReadOnly(at('one'), false);
    writeFileSync(at('one', 'file'), 'x');
  });

  it('finds what lies in a subvolume, the deepest first, and deletes by id', async () => {
    for (const words of [['top'], ['top', 'a'], ['top', 'a', 'b'], ['top', 'c']]) await calls.create(at(...words));
    mkdirSync(at('top', 'a', 'directory'));
    await calls.create(at('top', 'a', 'directory', 'd'));
    const { id } = (await calls.look(at('top'))) ?? { id: 0n };
    await expect(calls.destroy(at('top'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    const nested = await calls.nested(root, id);
    expect(nested).toHaveLength(4);
    await calls.setReadOnly(at('top', 'c'), true);
    for (const each of nested) await calls.destroyById(root, each);
    await expect(calls.destroyById(root, id + 1000n)).rejects.toMatchObject({ code: 'ENOENT' });
    await calls.destroy(at('top'));
    expect(existsSync(at('top'))).toBe(false);
    await expect(calls.destroy(at('top'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('has trees copied and packed with links as they are, also where subvolumes number their files alike', async () => {
    await calls.create(at('tree'));
    await calls.create(at('tree', 'inner'));
    for (const place of ['.', 'inner']) {
      writeFileSync(at('tree', place, 'one'), place);
      linkSync(at('tree', place, 'one'), at('tree', place, 'two'));
    }
    const files = new LinuxFiles();
    const control = { progress: () => {}, send: () => {}, isCancelled: () => false };
    mkdirSync(at('copy'));
    copyTree({ kind: 'copy', from: at('tree'), to: at('copy') }, files, control);
    expect(readFileSync(at('copy', 'two'), 'utf8')).toBe('.');
    expect(readFileSync(at('copy/inner/two'), 'utf8')).toBe('inner');
    expect(lstatSync(at('copy/inner/one')).ino).toBe(lstatSync(at('copy/inner/two')).ino);
    // Two files, one name more each, and the inner directory.
    const measured = { sizeBytes: '.'.length + 'inner'.length, inodes: 3 };
    expect(await measureTree(at('tree'))).toEqual(measured);
    expect(measureTrees([{ root: at('tree'), parent: null, except: [] }], files, control)).toEqual([measured]);
    const tar = Buffer.concat(await Array.fromAsync(packTree(at('tree'), files)));
    mkdirSync(at('unpacked'));
    execFileSync('tar', ['-x', '-C', at('unpacked')], { input: tar });
    expect(readFileSync(at('unpacked/inner/two'), 'utf8')).toBe('inner');
  });

  it('counts nothing while quotas are off', async () => {
    await calls.create(at('one'));
    const { id } = (await calls.look(at('one'))) ?? { id: 0n };
    expect(await calls.quotas(root)).toBe('off');
    expect(await calls.group(root, id)).toBeNull();
    await expect(calls.limit(at('one'), { referencedBytes: MIB })).rejects.toMatchObject({ code: 'ENOTCONN' });
    await calls.dropGroup(root, id);
    expect(await calls.quotas(root)).toBe('off');
  });

  describe('data root', () => {
    it('is made as a subvolume, with what is above it', async () => {
      await makeOwnSubvolume(at('var/lib/docker'), calls);
      expect(await calls.look(at('var/lib/docker'))).not.toBeNull();
      expect(lstatSync(at('var/lib/docker')).mode & 0o7777).toBe(0o710);
      const before = await calls.look(at('var/lib/docker'));
      await makeOwnSubvolume(at('var/lib/docker'), calls);
      expect((await calls.look(at('var/lib/docker')))?.id).toBe(before?.id);
    });

    it('takes the place of an empty directory, with its owner and mode', async () => {
      mkdirSync(at('docker'));
      chmodSync(at('docker'), 0o2701);
      chownSync(at('docker'), 0, 77);
      await makeOwnSubvolume(at('docker'), calls);
      expect(await calls.look(at('docker'))).not.toBeNull();
      const { mode, gid } = lstatSync(at('docker'));
      expect([mode & 0o7777, gid]).toEqual([0o2701, 77]);
    });

    it('stays what it is when there is something in it', async () => {
      mkdirSync(at('docker'));
      writeFileSync(at('docker', 'state.db'), 'x');
      await makeOwnSubvolume(at('docker'), calls);
      expect(await calls.look(at('docker'))).toBeNull();
      expect(readFileSync(at('docker', 'state.db'), 'utf8')).toBe('x');
    });

    it('stays what it is when it is mounted, or no subvolume can be made', async () => {
      mkdirSync(at('mounted'));
      mkdirSync(at('elsewhere'));
      execFileSync('mount', ['--bind', at('elsewhere'), at('mounted')]);
      try {
        await expect(makeOwnSubvolume(at('mounted'), calls)).rejects.toMatchObject({ code: 'EBUSY' });
      } finally {
        execFileSync('umount', [at('mounted')]);
      }
      mkdirSync(at('docker'), { mode: 0o750 });
      const failing = Object.assign(Object.create(calls) as LinuxBtrfs, {
        create: async () => Promise.reject(new KernelError('ioctl', 'ENOSPC', at('docker'))),
      });
      await expect(makeOwnSubvolume(at('docker'), failing)).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(lstatSync(at('docker')).mode & 0o7777).toBe(0o750);
    });
  });
});
