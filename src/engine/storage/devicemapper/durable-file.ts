/** Small files that are on the disk, whole, before anything is built on them. */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskFault } from '../../../base/errno-text.ts';
import { DataLossError, errnoCodeOf } from '../../../base/errors.ts';
import { syncDirectory } from '../directories.ts';

/** Writes a file as JSON: afterwards the disk has it, or the one before. */
export async function writeDurably(path: string, content: unknown): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await using file = await open(temporary, 'w', 0o600);
    await file.writeFile(JSON.stringify(content));
    await file.datasync();
  } catch (error) {
    throw diskFault('write', temporary, error);
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Null when there is no such file; DataLossError for one that is no JSON. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    if (error instanceof SyntaxError) throw new DataLossError(`${path} is damaged`, { cause: error });
    throw error;
  }
}
