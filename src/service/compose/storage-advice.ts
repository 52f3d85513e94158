/** What the operator is told about where the data lies, and about data that is not in use. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { layerCounts } from '../../engine/state/layers.ts';
import type { Database } from '../../engine/state/database.ts';
import type { StorageDriverName } from '../../engine/storage/choice.ts';
import { btrfsDataRootAdvice } from './data-root.ts';

/** What is known when the driver is open. */
export interface StorageFacts {
  readonly database: Database;
  readonly dataRoot: string;
  readonly driver: StorageDriverName;
  readonly holdingData: readonly StorageDriverName[];
  /** As `backingFilesystem` names it. */
  readonly backing: string;
}

/** In words for `docker info`, the log and the diagnostics of the bus. */
export async function storageAdvice(facts: StorageFacts): Promise<readonly string[]> {
  return [...oldData(facts), ...(await ownVolume(facts))];
}

function oldData({ database, dataRoot, driver, holdingData }: StorageFacts): readonly string[] {
  const layers = layerCounts(database);
  const containers = containerCounts(database);
  return holdingData
    .filter((name) => name !== driver)
    .map((name) => {
      const what = [counted(containers.get(name) ?? 0, 'container'), counted(layers.get(name) ?? 0, 'layer')];
      return (
        `storage driver ${name} holds data in ${join(dataRoot, name)} that ${driver} does not use (${what.join(', ')}): ` +
        `"moored migrate-storage --to ${driver}" moves what is needed, and with --remove-old deletes the rest`
      );
    });
}

/** How many containers each driver has. */
export function containerCounts(database: Database): ReadonlyMap<string, number> {
  const rows = database.all(
    "SELECT json_extract(doc, '$.storageDriver') AS driver, count(*) AS count FROM container GROUP BY driver",
  );
  return new Map(rows.map((row) => [String(row['driver']), Number(row['count'])]));
}

function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** A full disk of containers must not be the full disk of the host. Btrfs has subvolumes for that. */
async function ownVolume({ dataRoot, backing }: StorageFacts): Promise<readonly string[]> {
  if (backing === 'btrfs') {
    const advice = await btrfsDataRootAdvice(dataRoot);
    return advice === null ? [] : [advice];
  }
  const [own, host] = await Promise.all([stat(dataRoot), stat('/')]);
  if (own.dev !== host.dev) return [];
  return [
    `${dataRoot} is on the root file system, which images and containers can fill: give it a volume of its own ` +
      '(see docs/storage.md)',
  ];
}
