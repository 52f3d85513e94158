import { InvalidArgumentError } from '../../base/errors.ts';

/** Drivers of this version, best first. */
export const STORAGE_DRIVERS = ['overlay2', 'vfs'] as const;
export type StorageDriverName = (typeof STORAGE_DRIVERS)[number];

/** What is known when the driver is chosen. */
export interface ChoiceFacts {
  /** `--storage-driver`, or null. */
  readonly asked: string | null;
  /** Drivers whose directories below the data root hold snapshots already. */
  readonly holdingData: readonly StorageDriverName[];
  /** Null when overlay2 works here, else why not. */
  readonly overlay2Problem: string | null;
}

/** Which driver, and what the operator should be told about it. */
export interface Choice {
  readonly driver: StorageDriverName;
  readonly warning: string | null;
}

const VFS_WARNING =
  'storage driver vfs copies every layer in full for every container: it is slow and needs much space';

/**
 * The rule: what was asked for; else the driver that holds data; else overlay2 where it works; else vfs with a warning.
 * InvalidArgumentError when the one asked for is none of ours or cannot work, or when two drivers hold data.
 */
export function chooseStorageDriver(facts: ChoiceFacts): Choice {
  if (facts.asked !== null && facts.asked !== '') return usable(parseDriver(facts.asked), facts);
  const [holding, another] = facts.holdingData;
  if (another !== undefined) {
    throw new InvalidArgumentError(
      `error initializing graphdriver: multiple storage drivers contain file system data: ${facts.holdingData.join(', ')}. ` +
        'Use --storage-driver to choose one',
    );
  }
  if (holding !== undefined) return usable(holding, facts);
  if (facts.overlay2Problem === null) return { driver: 'overlay2', warning: null };
  return { driver: 'vfs', warning: `${VFS_WARNING}; overlay2 does not work here: ${facts.overlay2Problem}` };
}

function usable(driver: StorageDriverName, facts: ChoiceFacts): Choice {
  if (driver === 'vfs') return { driver, warning: VFS_WARNING };
  if (facts.overlay2Problem !== null) {
    throw new InvalidArgumentError(`error initializing graphdriver: driver not supported: ${facts.overlay2Problem}`);
  }
  return { driver, warning: null };
}

function parseDriver(name: string): StorageDriverName {
  switch (name) {
    case 'overlay2':
    case 'vfs':
      return name;
    case 'overlay':
      throw refusal(name, 'it was replaced by overlay2 and removed from Docker');
    case 'aufs':
      throw refusal(name, 'no kernel in support has it and Docker removed it; use overlay2');
    case 'btrfs':
    case 'devicemapper':
      throw refusal(name, 'it is not supported by this version; use overlay2 or vfs');
    default:
      throw refusal(name, `there is no such driver; use ${STORAGE_DRIVERS.join(' or ')}`);
  }
}

function refusal(name: string, reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`error initializing graphdriver: storage driver ${name} is refused: ${reason}`);
}
