import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { errnoCodeOf } from '../../base/errors.ts';
import type { SnapshotUsage } from './driver.ts';

/**
 * Adds up a tree as Docker's `directory.Size` does: bytes of every inode once, links to one inode not twice. What lies at
 * a path of `except` (`/etc/mtab`) is not counted.
 */
export async function measureTree(root: string, except: readonly string[] = []): Promise<SnapshotUsage> {
  return (await measureSmallTree(root, except, Infinity)) ?? { sizeBytes: 0, inodes: 0 };
}

/** {@link measureTree} of a tree with no more than so many entries; null for a larger one, or one deeper than a path can say. */
export async function measureSmallTree(
  root: string,
  except: readonly string[],
  mostInodes: number,
): Promise<SnapshotUsage | null> {
  const passedOver = new Set(except.map((path) => `${root}${path}`));
  const seen = new Set<string>();
  let sizeBytes = 0;
  let inodes = 0;
  const pending = [Buffer.from(root)];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for await (const entry of entriesOf(directory)) {
      // Names are bytes: as text, those that are no UTF-8 would not be found again.
      const path = Buffer.concat([directory, Buffer.from('/'), Buffer.from(entry.name, 'latin1')]);
      if (passedOver.size > 0 && passedOver.has(path.toString())) continue;
      const info = await statOf(path);
      if (info === 'too deep') return null;
      if (info === null) continue;
      if (entry.isDirectory()) pending.push(path);
      else if (info.nlink > 1n) {
        // With its device: subvolumes of one tree number their files alike.
        const key = `${String(info.dev)}:${String(info.ino)}`;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      if (inodes >= mostInodes) return null;
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

async function statOf(path: Buffer): Promise<BigIntStats | 'too deep' | null> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (errnoCodeOf(error) === 'ENAMETOOLONG') return 'too deep';
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
