import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { STORAGE_DRIVERS, type StorageDriverName } from './choice.ts';
import { namesIn } from './directories.ts';

/** What is being made, removed or tried, and what waits for its end; see snapshot-directory.ts, overlay2/probe.ts and btrfs/subvolumes.ts. */
const HALF_DONE = /^\.(?:new|old|probe)-/;
const NOTES = '.groups';

/** What each snapshot of ours has, whatever the driver; see snapshot-directory.ts. */
const SNAPSHOT_RECORD = 'snapshot.json';

/**
 * The drivers whose directories below the data root (`<data root>/overlay2` …) hold at least one snapshot of this engine's.
 * What another engine left there is nothing that could be used.
 */
export async function driversHoldingData(dataRoot: string): Promise<readonly StorageDriverName[]> {
  const holding: StorageDriverName[] = [];
  for (const name of STORAGE_DRIVERS) if (await holdsSnapshots(join(dataRoot, name))) holding.push(name);
  return holding;
}

/** The drivers below whose directories a killed engine left something half made or half removed, which opening them takes away. */
export async function driversHoldingRemains(dataRoot: string): Promise<readonly StorageDriverName[]> {
  const holding: StorageDriverName[] = [];
  for (const name of STORAGE_DRIVERS) {
    const root = join(dataRoot, name);
    const isHalfDone = (await namesIn(root)).some((entry) => HALF_DONE.test(entry));
    if (isHalfDone || (await namesIn(join(root, NOTES))).length > 0) holding.push(name);
  }
  return holding;
}

async function holdsSnapshots(directory: string): Promise<boolean> {
  for (const name of await namesIn(directory)) {
    if (!name.startsWith('.') && (await isThere(join(directory, name, SNAPSHOT_RECORD)))) return true;
  }
  return false;
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
