import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { errnoCodeOf } from '../../base/errors.ts';
import type { SnapshotUsage } from './driver.ts';

/** Adds up a tree as Docker's `directory.Size` does: bytes of every inode once, links to one inode not twice. */
export async function measureTree(root: string): Promise<SnapshotUsage> {
  const seen = new Set<bigint>();
  let sizeBytes = 0;
  let inodes = 0;
  const pending = [Buffer.from(root)];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for await (const entry of entriesOf(directory)) {
      // Names are bytes: as text, those that are no UTF-8 would not be found again.
      const path = Buffer.concat([directory, Buffer.from('/'), Buffer.from(entry.name, 'latin1')]);
      const info = await statOf(path);
      if (info === null) continue;
      if (entry.isDirectory()) pending.push(path);
      else if (info.nlink > 1n && seen.has(info.ino)) continue;
      seen.add(info.ino);
      inodes += 1;
      if (!entry.isDirectory()) sizeBytes += Number(info.size);
    }
  }
  return { sizeBytes, inodes };
}

/** Nothing for a directory that has gone: a running container deletes files while we count. */
async function* entriesOf(directory: Buffer): AsyncGenerator<Dirent, void, void> {
  try {
    yield* await opendir(directory, { encoding: 'latin1' });
  } catch (error) {
    if (errnoCodeOf(error) !== 'ENOENT') throw error;
  }
}

async function statOf(path: Buffer): Promise<BigIntStats | null> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
