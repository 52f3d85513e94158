import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { driversHoldingData, driversHoldingRemains } from '../../../../src/engine/storage/holding-data.ts';
import { Overlay2Driver } from '../../../../src/engine/storage/overlay2/driver.ts';
import { VfsDriver } from '../../../../src/engine/storage/vfs/driver.ts';

it('finds the drivers that hold snapshots, not those that were only opened', async () => {
  const root = await mkdtemp(join(tmpdir(), 'storage-holding-'));
  try {
    expect(await driversHoldingData(root)).toEqual([]);
    const overlay2 = await Overlay2Driver.open({
      root: join(root, 'overlay2'),
      support: { backingFilesystem: 'extfs', mountOptions: [] },
    });
    const vfs = await VfsDriver.open({ root: join(root, 'vfs'), copyTree: async () => {} });
    await mkdir(join(root, 'vfs/.probe-x'));
    // Another engine's.
    await mkdir(join(root, 'vfs/dir/0123'), { recursive: true });
    expect(await driversHoldingData(root)).toEqual([]);
    await vfs.prepare('container', null);
    expect(await driversHoldingData(root)).toEqual(['vfs']);
    await overlay2.prepare('container', null);
    expect(await driversHoldingData(root)).toEqual(['overlay2', 'vfs']);
  } finally {
    await rm(root, { recursive: true });
  }
});

it('finds the drivers of which something half done is left, until they are opened', async () => {
  const root = await mkdtemp(join(tmpdir(), 'storage-remains-'));
  try {
    expect(await driversHoldingRemains(root)).toEqual([]);
    await mkdir(join(root, 'vfs/.old-01234567/tree'), { recursive: true });
    await mkdir(join(root, 'overlay2/l'), { recursive: true });
    await mkdir(join(root, 'btrfs/.groups/257'), { recursive: true });
    expect([await driversHoldingRemains(root), await driversHoldingData(root)]).toEqual([['btrfs', 'vfs'], []]);
    await VfsDriver.open({ root: join(root, 'vfs'), copyTree: async () => {} });
    expect(await driversHoldingRemains(root)).toEqual(['btrfs']);
  } finally {
    await rm(root, { recursive: true });
  }
});
