import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';

/**
 * Names of files are only looked up and opened while no rotation renames them: a reader that found `path.1` must not
 * open what was `path` a moment ago. Rotation is this process's own, so a lock in it is enough.
 */
export const namesLock = new KeyedLock<string>();

/** The files of one log that exist, oldest first: `path.2`, `path.1`, `path`. */
export async function filesOf(path: string): Promise<readonly string[]> {
  const names = await readdir(dirname(path)).catch((): readonly string[] => []);
  const base = basename(path);
  const rotated = names
    .filter((name) => name.startsWith(`${base}.`) && /^\d+$/.test(name.slice(base.length + 1)))
    .map((name) => Number(name.slice(base.length + 1)))
    .sort((a, b) => b - a)
    .map((number) => `${path}.${String(number)}`);
  return names.includes(base) ? [...rotated, path] : rotated;
}

/** Inode of a file; null when it is gone. */
async function inodeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * The file that follows the one of `inode` (held open by a reader); the oldest there is when that one was deleted by the
 * bound meanwhile; null when it is the current one. To be called under {@link namesLock}.
 */
export async function newerThan(path: string, inode: number): Promise<string | null> {
  // The common case, without a look at the directory.
  if ((await inodeOf(path)) === inode) return null;
  const files = await filesOf(path);
  const inodes = await Promise.all(files.map(inodeOf));
  return files[inodes.indexOf(inode) + 1] ?? null;
}

/**
 * Moves `path` out of the way so that `keep.files` remain once the writer has opened a fresh one, and no more than
 * `keep.bytes` where files outgrew their bound. Until it has, it goes on writing into the renamed file: nothing is lost.
 */
export async function shift(
  path: string,
  keep: { readonly files: number; readonly bytes: number },
  reopen: () => Promise<void>,
): Promise<void> {
  const first = join(dirname(path), `${basename(path)}.1`);
  await namesLock.hold(path, async () => {
    for (const file of (await filesOf(path)).slice(0, -1)) {
      const number = Number(file.slice(path.length + 1));
      if (number + 1 >= keep.files) await rm(file, { force: true });
      else await rename(file, `${path}.${String(number + 1)}`);
    }
    await rename(path, first);
    await reopen();
    if (keep.files <= 1) await rm(first, { force: true });
    else await dropOldest(path, keep.bytes);
  });
}

/** The newest two stay in any case: one being written, and one to read when it is young. */
async function dropOldest(path: string, bytes: number): Promise<void> {
  const files = (await filesOf(path)).toReversed();
  let sum = 0;
  for (const [age, file] of files.entries()) {
    sum += await stat(file).then(
      ({ size }) => size,
      () => 0,
    );
    if (age > 1 && sum > bytes) await rm(file, { force: true });
  }
}
