/** Whole copies of trees share their content where the file system lets them: a disk takes many more than fit on it. */
import { closeSync, ftruncateSync, lstatSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeTestStorage } from '../support/layers.ts';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';

const MIB = 1024 * 1024;
const COPIES = 12;

describe.each<[DiskKind, readonly string[]]>([
  ['btrfs', []],
  ['xfs', ['-m', 'reflink=1']],
])('vfs on %s', (kind, mkfs) => {
  it('shares the content of files, also of those with holes', async (context) => {
    const obstacle = LoopDisk.obstacle(kind);
    if (obstacle !== null) context.skip(obstacle);
    await using disk = await LoopDisk.make(kind, { mkfs });
    await using storage = await makeTestStorage('vfs', disk.path);
    const [mount] = await storage.driver.prepare('extract', null);
    const tree = mount?.source ?? '';
    const content = randomBytes(16 * MIB);
    writeFileSync(join(tree, 'whole'), content);
    const sparse = openSync(join(tree, 'sparse'), 'w');
    ftruncateSync(sparse, 1024 * MIB);
    writeSync(sparse, content, 0, content.length, 512 * MIB);
    closeSync(sparse);
    await storage.driver.commit('extract', 'base');
    storage.files.syncFilesystem(disk.path);
    const free = disk.freeBytes;
    for (let copy = 0; copy < COPIES; copy += 1) await storage.driver.prepare(`container-${String(copy)}`, 'base');
    storage.files.syncFilesystem(disk.path);
    expect(free - disk.freeBytes).toBeLessThan(16 * MIB);
    const [last] = await storage.driver.mounts('container-3');
    expect(readFileSync(join(last?.source ?? '', 'whole')).equals(content)).toBe(true);
    const { size, blocks } = lstatSync(join(last?.source ?? '', 'sparse'));
    expect([size, blocks * 512 < 32 * MIB]).toEqual([1024 * MIB, true]);
  });
});
