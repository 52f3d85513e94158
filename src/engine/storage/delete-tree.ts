/**
 * Deletes whole trees, also those that a container has made deeper than a path can say: what lies too deep is moved up
 * first, piece by piece.
 */
import { randomBytes } from 'node:crypto';
import { lstatSync, opendirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { readdir, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf } from '../../base/errors.ts';

/** Half of PATH_MAX: what is below one of these can be named as long as it is not as deep again. */
const LONGEST_PATH_BYTES = 2048;
const SEPARATOR = Buffer.from('/');

/** What is deleted in less time than threads would take to begin: so many entries, none with more on the disk. */
const FEW_ENTRIES = 16;
const FEW_BLOCKS = 64;
/** Deleted in less than a millisecond. */
const A_TURN = 32;

/** On this thread: fit for small trees. Idempotent. */
export async function deleteHere(path: string): Promise<void> {
  if (isSoonDeleted(path) || (await isDeletedInTurns(path))) return;
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!isTooDeep(error)) throw error;
    await flatten(path);
    await rm(path, { recursive: true, force: true });
  }
}

/**
 * Deletes a few files, lets others have a turn, and so on: a thread of the pool for each file would take several times as
 * long. False where it does not go that way, whatever has been deleted by then.
 */
async function isDeletedInTurns(root: string): Promise<boolean> {
  const directories = [Buffer.from(root)];
  try {
    let seen = 0;
    for (const directory of directories) {
      using entries = opendirSync(directory, { encoding: 'latin1', bufferSize: A_TURN });
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        const path = Buffer.concat([directory, SEPARATOR, Buffer.from(entry.name, 'latin1')]);
        if (entry.isDirectory()) directories.push(path);
        else if (lstatSync(path).blocks <= FEW_BLOCKS) unlinkSync(path);
        else await unlink(path);
        seen += 1;
        if (seen % A_TURN === 0) await othersTurn();
      }
    }
    for (const directory of directories.toReversed()) {
      rmdirSync(directory);
      seen += 1;
      if (seen % A_TURN === 0) await othersTurn();
    }
    return true;
  } catch {
    return false;
  }
}

async function othersTurn(): Promise<void> {
  // eslint-disable-next-line no-restricted-globals -- the turn is what is waited for
  return new Promise((resolve) => setImmediate(resolve));
}

/** In a worker: at once. Idempotent. */
export async function deleteAtOnce(path: string): Promise<void> {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    if (!isTooDeep(error)) throw error;
    await flatten(path);
    rmSync(path, { recursive: true, force: true });
  }
}

/** Deletes a few little files at once. What does not go that way is left to the long one, which says what is wrong. */
function isSoonDeleted(path: string): boolean {
  try {
    const few = fewBelow(path);
    if (few === null) return false;
    for (const file of few.files) unlinkSync(file);
    for (const directory of few.directories.toReversed()) rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

interface Few {
  readonly files: readonly string[];
  /** The root first, parents before children. */
  readonly directories: readonly string[];
}

/** Looks at no more entries than it may find; null when there are more, or large ones. */
function fewBelow(root: string): Few | null {
  const files: string[] = [];
  const directories = [root];
  for (const path of directories) {
    using directory = opendirSync(path, { bufferSize: FEW_ENTRIES });
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) directories.push(below);
      else if (lstatSync(below).blocks <= FEW_BLOCKS) files.push(below);
      else return null;
      if (files.length + directories.length > FEW_ENTRIES) return null;
    }
  }
  return { files, directories };
}

function isTooDeep(error: unknown): boolean {
  return errnoCodeOf(error) === 'ENAMETOOLONG';
}

/** Moves directories with long paths to the top of the tree. */
async function flatten(root: string): Promise<void> {
  const top = Buffer.from(root);
  const tag = randomBytes(8).toString('hex');
  let moved = 0;
  const pending = [top];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await readdir(directory, { encoding: 'buffer', withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = Buffer.concat([directory, SEPARATOR, entry.name]);
      if (path.length <= LONGEST_PATH_BYTES) {
        pending.push(path);
        continue;
      }
      moved += 1;
      const place = Buffer.concat([top, SEPARATOR, Buffer.from(`${tag}-${String(moved)}`)]);
      await rename(path, place);
      pending.push(place);
    }
  }
}
