/** Single entries of a directory, as they are found: what others have made or taken away meanwhile is no error. */
import { rmdirSync, statSync, unlinkSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { errnoCodeOf } from '../../base/errors.ts';

/** Removes an empty directory, there or not; false when something is in it. */
export function isRemoved(directory: string): boolean {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (isOccupied(error)) return false;
    if (errnoCodeOf(error) !== 'ENOENT') throw error;
  }
  return true;
}

/** Idempotent. */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoCodeOf(error) !== 'ENOENT') throw error;
  }
}

/** Renames; false when there was nothing to move. */
export async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Whether something is there. */
export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Whether a step failed because something is there, or in there. */
export function isOccupied(error: unknown): boolean {
  const code = errnoCodeOf(error);
  return code === 'ENOTEMPTY' || code === 'EEXIST';
}
