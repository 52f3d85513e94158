import { InvalidArgumentError } from '../../base/errors.ts';

/** Drivers of this version. */
export const STORAGE_DRIVERS = ['btrfs', 'overlay2', 'devicemapper', 'vfs'] as const;
export type StorageDriverName = (typeof STORAGE_DRIVERS)[number];

/** What is known when the driver is chosen. */
export interface ChoiceFacts {
  /** `--storage-driver`, or null. */
  readonly asked: string | null;
  /** Drivers whose directories below the data root hold snapshots already. */
  readonly holdingData: readonly StorageDriverName[];
  /** The driver that everything was last moved to; null when nothing ever was. */
  readonly movedTo: string | null;
  readonly dataRoot: string;
  /** The file system of the data root, as `backingFilesystem` names it. */
  readonly backingFilesystem: string;
  /** Null when the driver works here, else why not; asked only of what may be chosen. */
  readonly obstacleOf: (driver: StorageDriverName) => Promise<string | null>;
}

/** Which driver, and what the operator should be told about it. */
export interface Choice {
  readonly driver: StorageDriverName;
  readonly warning: string | null;
}

const VFS_WARNING =
  'storage driver vfs copies every layer in full for every container: it is slow and needs much space';

/**
 * The rule: what was asked for; else the driver that holds data; else btrfs on Btrfs; else overlay2 where it works; else vfs
 * with a warning. Where several hold data it is the one that everything was moved to, and without such a move the one that
 * is not vfs, as in dockerd. InvalidArgumentError when the one asked for is none of ours or cannot work, or when two others
 * hold data.
 */
export async function chooseStorageDriver(facts: ChoiceFacts): Promise<Choice> {
  if (facts.asked !== null && facts.asked !== '') return usable(parseDriver(facts.asked), facts);
  const holding = holderOf(facts);
  if (holding !== null) return usable(holding, facts);
  if (facts.backingFilesystem === 'btrfs' && (await facts.obstacleOf('btrfs')) === null) {
    return { driver: 'btrfs', warning: null };
  }
  const problem = await facts.obstacleOf('overlay2');
  if (problem === null) return { driver: 'overlay2', warning: null };
  return { driver: 'vfs', warning: `${VFS_WARNING}; overlay2 does not work here: ${problem}` };
}

function holderOf({ holdingData, movedTo, dataRoot }: ChoiceFacts): StorageDriverName | null {
  const moved = holdingData.find((name) => name === movedTo);
  if (moved !== undefined) return moved;
  const others = holdingData.length === 1 ? holdingData : holdingData.filter((name) => name !== 'vfs');
  if (others.length < 2) return others[0] ?? null;
  throw new InvalidArgumentError(
    `error initializing graphdriver: ${dataRoot} contains several valid graphdrivers: ${others.join(', ')}; ` +
      'cleanup or explicitly choose storage driver (-s <DRIVER>)',
  );
}

async function usable(driver: StorageDriverName, facts: ChoiceFacts): Promise<Choice> {
  if (driver === 'vfs') return { driver, warning: VFS_WARNING };
  const problem = await facts.obstacleOf(driver);
  if (problem !== null) {
    throw new InvalidArgumentError(`error initializing graphdriver: driver not supported: ${problem}`);
  }
  return { driver, warning: null };
}

/** InvalidArgumentError with the reason for what is no driver of this version. */
export function parseDriver(name: string): StorageDriverName {
  const driver = STORAGE_DRIVERS.find((known) => known === name);
  if (driver !== undefined) return driver;
  switch (name) {
    case 'overlay':
      throw refusal(name, 'it was replaced by overlay2 and removed from Docker');
    case 'aufs':
      throw refusal(name, 'no kernel in support has it and Docker removed it; use overlay2');
    default:
      throw refusal(name, `there is no such driver; use ${STORAGE_DRIVERS.join(', ')}`);
  }
}

function refusal(name: string, reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`error initializing graphdriver: storage driver ${name} is refused: ${reason}`);
}
