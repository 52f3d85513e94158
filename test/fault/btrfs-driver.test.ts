/** The btrfs driver when calls fail, when it is killed in between, and when the disk or a limit is full. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../src/base/errors.ts';
import type { BtrfsCalls } from '../../src/engine/kernel/btrfs.ts';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { BtrfsDriver } from '../../src/engine/storage/btrfs/driver.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const obstacle = LoopDisk.obstacle('btrfs');
const MIB = 1024 * 1024;
const calls = new LinuxBtrfs();

/** Calls of the kernel whose n-th fails: before it has done anything, or when all is done. */
function failing(nth: number, when: 'before' | 'after'): { readonly calls: BtrfsCalls; readonly made: () => number } {
  let made = 0;
  const proxy = new Proxy<BtrfsCalls>(calls, {
    get(target, name: keyof BtrfsCalls) {
      const call = target[name].bind(target) as (...args: readonly unknown[]) => Promise<unknown>;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        made += 1;
        const fails = made === nth;
        const result = fails && when === 'before' ? null : await call(...args);
        if (fails) throw new KernelError(name, 'EIO', String(args[0]));
        return result;
      };
    },
  });
  return { calls: proxy, made: () => made };
}

describe('the btrfs driver', () => {
  if (obstacle !== null) {
    it('survives faults', (context) => context.skip(obstacle));
    return;
  }
  let disk: LoopDisk;
  beforeAll(async () => {
    disk = await LoopDisk.make('btrfs', { mountOptions: ['commit=1'] });
    btrfs('quota', 'enable', disk.path);
  });
  afterAll(async () => disk[Symbol.asyncDispose]());

  function btrfs(...args: readonly string[]): string {
    return execFileSync('btrfs', args, { encoding: 'utf8' });
  }

  /** Paths of all subvolumes below a directory of the disk. */
  function subvolumesBelow(root: string): readonly string[] {
    const prefix = `${root.slice(disk.path.length + 1)}/`;
    return btrfs('subvolume', 'list', disk.path)
      .split('\n')
      .map((line) => line.split(' path ')[1] ?? '')
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length));
  }

  /** What an image, a container on it, and their end come to. */
  async function story(driver: BtrfsDriver, root: string): Promise<void> {
    await driver.prepare('extract', null);
    await driver.commit('extract', 'base');
    await driver.prepare('container', 'base', { sizeBytes: 16 * MIB });
    const tree = join(root, 'container/tree');
    writeFileSync(join(tree, 'file'), 'x');
    await calls.create(join(tree, 'nested'));
    await driver.view('view', 'base');
    await driver.remove('view');
    await driver.remove('container');
    await driver.remove('base');
  }

  async function expectSound(root: string): Promise<void> {
    const driver = await BtrfsDriver.open({ root, calls });
    const all = await Array.fromAsync(driver.walk());
    const own = all.filter(({ kind }) => kind !== 'view').map(({ key }) => `${key}/tree`);
    expect(subvolumesBelow(root).filter((path) => !path.endsWith('/nested'))).toEqual(expect.arrayContaining(own));
    for (const { key, kind } of all) if (kind === 'committed') expect(await driver.examine(key)).toBeNull();
    for (const key of ['view', 'container', 'extract', 'base']) await driver.remove(key);
    expect(subvolumesBelow(root)).toEqual([]);
    expect(readdirSync(root).filter((name) => name !== '.groups')).toEqual([]);
  }

  it.each(['before', 'after'] as const)('leaves nothing behind when a call fails %s it is done', async (when) => {
    for (let nth = 1; ; nth += 1) {
      const root = mkdtempSync(join(disk.path, `fault-${when}-`));
      const faulty = failing(nth, when);
      const failure = await BtrfsDriver.open({ root, calls: faulty.calls })
        .then(async (driver) => story(driver, root))
        .catch((error: unknown) => error);
      if (failure !== undefined && !(failure instanceof KernelError)) throw failure as Error;
      await expectSound(root);
      if (faulty.made() < nth) {
        expect(nth).toBeGreaterThan(20);
        break;
      }
    }
  });

  it('gives up groups of what is gone, and of nothing else', async () => {
    const root = mkdtempSync(join(disk.path, 'groups-'));
    await calls.create(join(root, 'theirs'));
    const theirs = (await calls.look(join(root, 'theirs')))?.id ?? 0n;
    mkdirSync(join(root, 'driver'));
    const open = async (): Promise<BtrfsDriver> => BtrfsDriver.open({ root: join(root, 'driver'), calls });
    const driver = await open();
    await driver.prepare('one', null);
    const { id } = (await calls.look(join(root, 'driver/one/tree'))) ?? { id: 0n };
    expect(await calls.group(root, id)).not.toBeNull();
    await driver.remove('one');
    btrfs('subvolume', 'delete', join(root, 'theirs'));
    btrfs('subvolume', 'sync', disk.path);
    await open();
    expect(await calls.group(root, id)).toBeNull();
    expect(readdirSync(join(root, 'driver/.groups'))).toEqual([]);
    // Newer kernels give them up by themselves, and nobody else may.
    const left = btrfs('qgroup', 'show', disk.path).includes(`0/${String(theirs)} `);
    expect(left ? await calls.group(root, theirs) : null).toBe(left ? expect.anything() : null);
  });

  it('bounds all that a container sees, its image too, as dockerd', async () => {
    const root = mkdtempSync(join(disk.path, 'sizes-'));
    const driver = await BtrfsDriver.open({ root, calls, storageOptions: ['btrfs.min_space=4M'] });
    await driver.prepare('extract', null);
    writeFileSync(join(root, 'extract/tree/large'), Buffer.alloc(12 * MIB, 'x'));
    await driver.commit('extract', 'base');
    await driver.prepare('container', 'base', { sizeBytes: 24 * MIB });
    const tree = join(root, 'container/tree');
    writeFileSync(join(tree, 'fits'), Buffer.alloc(8 * MIB, 'x'));
    const failure = attempt(() => writeFileSync(join(tree, 'too-much'), Buffer.alloc(8 * MIB, 'x')));
    expect(errnoCodeOf(failure)).toBe('EDQUOT');
    for (const [sizeBytes, words] of [
      [0, 'btrfs: invalid storage size: 0B'],
      [MIB, 'btrfs: storage size cannot be less than 4.194MB'],
      [
        8 * MIB,
        /^btrfs: storage size cannot be less than 12\.\d+MB, which the image takes of it: disk quota exceeded$/,
      ],
    ] as const) {
      const refused = driver.prepare('small', 'base', { sizeBytes });
      await expect(refused).rejects.toThrow(typeof words === 'string' ? new InvalidArgumentError(words) : words);
    }
    expect(await driver.stat('small')).toBeNull();
    // Nor does a limit that is reached keep a container from going.
    await driver.remove('container');
    await driver.remove('base');
  });

  it.each([
    ['btrfs.size=1G', 'Unknown option btrfs.size'],
    ['dm.basesize=1G', 'Unknown option dm.basesize'],
    ['btrfs.min_space', 'unable to parse storage-opt key/value: btrfs.min_space'],
    ['btrfs.min_space=much', "invalid size: 'much'"],
  ])('refuses the option %s', async (word, words) => {
    const root = join(disk.path, 'options');
    const opening = BtrfsDriver.open({ root, calls, storageOptions: [word] });
    await expect(opening).rejects.toThrow(new InvalidArgumentError(words));
    expect(existsSync(root)).toBe(false);
  });

  it('tells that the disk is full, and still removes', async () => {
    await using small = await LoopDisk.make('btrfs', { sizeMib: 110 });
    const root = join(small.path, 'btrfs');
    const driver = await BtrfsDriver.open({ root, calls });
    await driver.prepare('extract', null);
    await driver.commit('extract', 'base');
    for (let index = 0; index < 20; index += 1) await driver.prepare(`container-${String(index)}`, 'base');
    const failure = attempt(() => {
      for (let chunk = 0; ; chunk += 1) {
        writeFileSync(join(root, 'container-0/tree', `file-${String(chunk)}`), Buffer.alloc(MIB, 'x'));
      }
    });
    expect(errnoCodeOf(failure)).toBe('ENOSPC');
    for (let chunk = 0; attempt(() => writeFileSync(join(small.path, `tiny-${String(chunk)}`), 'x')) === null;)
      chunk += 1;
    const refused: unknown = await driver.prepare('one-more', 'base').catch((error: unknown) => error);
    // Either there is room for a record and none for a tree, or for neither, or the reserve did.
    if (refused instanceof Error) {
      expect(refused).toBeInstanceOf(UnavailableError);
      expect(refused.message).toContain('no space left on device');
      expect(await driver.stat('one-more')).toBeNull();
    }
    for (const { key, kind } of await Array.fromAsync(driver.walk()))
      if (kind !== 'committed') await driver.remove(key);
    await driver.remove('base');
    expect(await Array.fromAsync(driver.walk())).toEqual([]);
  });
});

function attempt(job: () => void): unknown {
  try {
    job();
    return null;
  } catch (error) {
    return error;
  }
}
