import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf } from '../../base/errors.ts';
import { STORAGE_DRIVERS, type StorageDriverName } from './choice.ts';
import { LINKS_DIRECTORY } from './overlay2/driver.ts';

/** The drivers whose directories below the data root (`<data root>/overlay2` …) hold at least one snapshot. */
export async function driversHoldingData(dataRoot: string): Promise<readonly StorageDriverName[]> {
  const holding: StorageDriverName[] = [];
  for (const name of STORAGE_DRIVERS) if (await holdsSnapshots(join(dataRoot, name))) holding.push(name);
  return holding;
}

async function holdsSnapshots(directory: string): Promise<boolean> {
  try {
    const names = await readdir(directory);
    return names.some((name) => !name.startsWith('.') && name !== LINKS_DIRECTORY);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
