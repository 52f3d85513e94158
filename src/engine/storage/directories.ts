import { open, readdir } from 'node:fs/promises';
import { errnoCodeOf } from '../../base/errors.ts';

/** What is in a directory; nothing where there is none. */
export async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Settles when the names in a directory are on the disk. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}
