/** The real daemon with its data on Btrfs: subvolumes, sizes by groups, and nothing left of either. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { TestEngine } from '../support/engine.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const obstacle = LoopDisk.obstacle('btrfs');

describe('an engine on Btrfs', () => {
  if (obstacle !== null) {
    it('keeps subvolumes', (context) => context.skip(obstacle));
    return;
  }
  const calls = new LinuxBtrfs();
  let disk: LoopDisk;
  let engine: TestEngine;
  let dataRoot: string;
  const docker = async (...args: readonly string[]): Promise<string> => engine.dockerOk(...args);
  const subvolumes = (): readonly string[] =>
    btrfs('subvolume', 'list', '-o', dataRoot)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ').at(-1) ?? '');

  beforeAll(async () => {
    // The kernel takes the files of deleted subvolumes away after a commit, which is due every 30 seconds else.
    disk = await LoopDisk.make('btrfs', { sizeMib: 512, mountOptions: ['commit=1'] });
    dataRoot = join(disk.path, 'docker');
    engine = await TestEngine.start('--data-root', dataRoot);
    await engine.importBusybox();
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
  });

  function btrfs(...args: readonly string[]): string {
    return execFileSync('btrfs', args, { encoding: 'utf8' });
  }

  it('chooses its driver by itself, in a data root that is a subvolume', async () => {
    expect(await docker('info', '-f', '{{.Driver}} {{json .DriverStatus}} {{json .Warnings}}')).toMatch(
      /^btrfs \[\["Btrfs",""\]\] /,
    );
    expect(await docker('info', '-f', '{{json .Warnings}}')).not.toContain('subvolume');
    expect(await calls.look(dataRoot)).not.toBeNull();
  });

  it('runs, commits, diffs and removes', async () => {
    await docker('run', '--name', 'box', 'busybox', 'sh', '-c', 'echo hi >/new; rm -r /root; ln /new /hard');
    expect((await docker('diff', 'box')).split('\n').sort()).toEqual(['A /hard', 'A /new', 'D /root']);
    await docker('commit', 'box', 'changed');
    expect(await docker('run', '--rm', 'changed', 'stat', '-c', '%h', '/hard')).toBe('2');
    expect(await docker('inspect', '-f', '{{json .GraphDriver}}', 'box')).toBe('{"Data":null,"Name":"btrfs"}');
    const before = subvolumes().length;
    await docker('rm', 'box');
    await docker('rmi', 'changed');
    expect(subvolumes()).toHaveLength(before - 2);
  });

  it('removes what a container made of subvolumes in itself', async () => {
    await docker('create', '--name', 'nesting', 'busybox', 'true');
    const [tree] = subvolumes().filter((path) => path.includes(`/btrfs/`) && !path.includes('+'));
    await calls.create(join(disk.path, tree ?? '', 'inner'));
    await calls.create(join(disk.path, tree ?? '', 'inner/most'));
    await docker('rm', 'nesting');
    expect(subvolumes().filter((path) => !path.includes('+'))).toEqual([]);
  });

  it('refuses sizes while quotas are off, and leaves them off', async () => {
    const refused = await engine.docker(['create', '--storage-opt', 'size=64M', 'busybox', 'true']);
    expect(refused.stderr).toContain('btrfs: storage size cannot be limited: quotas are off for the Btrfs file system');
    expect(refused.stderr).toContain('btrfs quota enable');
    expect(await calls.quotas(dataRoot)).toBe('off');
    expect(await docker('ps', '-aq')).toBe('');
  });

  describe('with quotas that an administrator has switched on', () => {
    beforeAll(() => btrfs('quota', 'enable', dataRoot));

    const groups = (): readonly string[] =>
      [...btrfs('qgroup', 'show', dataRoot).matchAll(/^0\/(\d+)/gm)].map(([, id]) => id ?? '');

    it('keeps a container to its size, and gives its group up', async () => {
      const writing = ['busybox', 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=32'];
      await docker('run', '--name', 'fits', '--storage-opt', 'size=64M', ...writing);
      const full = await engine.docker(['run', '--name', 'full', '--storage-opt', 'size=16M', ...writing]);
      expect([full.code, full.stderr]).toEqual([1, expect.stringMatching(/quota exceeded/i)]);
      // It ends and starts like any other.
      expect(await docker('start', '-a', 'fits')).toBe('');
      await docker('rm', 'fits', 'full');
      btrfs('subvolume', 'sync', dataRoot);
      await engine.end();
      await engine.boot();
      const known = new Set([
        '5',
        ...btrfs('subvolume', 'list', disk.path)
          .matchAll(/^ID (\d+)/gm)
          .map(([, id]) => id ?? ''),
      ]);
      expect(groups().filter((id) => !known.has(id))).toEqual([]);
      expect(readdirSync(join(dataRoot, 'btrfs/.groups'))).toEqual([]);
    });

    it('refuses what is no size', async () => {
      for (const [size, words] of [
        ['0', 'btrfs: invalid storage size: 0B'],
        ['lots', "invalid size: 'lots'"],
      ] as const) {
        const refused = await engine.docker(['create', '--storage-opt', `size=${size}`, 'busybox', 'true']);
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(words)]);
      }
      const unknown = await engine.docker(['create', '--storage-opt', 'sise=1G', 'busybox', 'true']);
      expect(unknown.stderr).toContain('sise');
    });

    it('keeps a volume to its size', async () => {
      await docker('volume', 'create', '-o', 'size=16M', 'small');
      const full = await engine.docker([
        'run',
        '--rm',
        '-v',
        'small:/v',
        'busybox',
        'dd',
        'if=/dev/zero',
        'of=/v/big',
        'bs=1M',
        'count=32',
      ]);
      expect(full.stderr).toMatch(/quota exceeded/i);
      await docker('volume', 'rm', 'small');
      expect(existsSync(join(dataRoot, 'volumes/small'))).toBe(false);
    });
  });

  it('goes on after it was killed', async () => {
    await docker('create', '--name', 'kept', 'busybox', 'true');
    await engine.end('SIGKILL');
    await engine.boot();
    await docker('start', '-a', 'kept');
    await docker('rm', 'kept');
  });
});
