import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf } from '../../base/errors.ts';
import type { SnapshotUsage } from './driver.ts';

/** Adds up a tree as Docker's `directory.Size` does: bytes of every inode once, links to one inode not twice. */
export async function measureTree(root: string): Promise<SnapshotUsage> {
  const seen = new Set<bigint>();
  let sizeBytes = 0;
  let inodes = 0;
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    try {
      for await (const entry of await opendir(directory)) {
        const path = join(directory, entry.name);
        const info = await lstat(path, { bigint: true });
        if (entry.isDirectory()) pending.push(path);
        else if (info.nlink > 1n && seen.has(info.ino)) continue;
        seen.add(info.ino);
        inodes += 1;
        if (!entry.isDirectory()) sizeBytes += Number(info.size);
      }
    } catch (error) {
      // A running container deletes files while we count.
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
    }
  }
  return { sizeBytes, inodes };
}
