/**
 * What a check of the store asks of storage: is a layer's tree what its row says, and if not, put a good one in its place
 * so that children and containers stand on it as before.
 */
import type { ChainId } from '../oci/digest.ts';
import type { StorageDriver } from './driver.ts';

/** Optional ability of a driver: snapshots can be looked at for damage, and replaced under their children. */
export interface MendableDriver extends StorageDriver {
  /** What is wrong with a committed snapshot, as far as names and descriptions tell; null when nothing is. */
  examine(key: string): Promise<string | null>;
  /**
   * Puts an active snapshot in the place of the committed one `name`, damaged or gone. Whoever is killed in between leaves
   * it damaged, and may begin again.
   */
  replace(key: string, name: string): Promise<void>;
  /** What lies below the driver's root and belongs to no snapshot that can be read. */
  strays(): Promise<readonly Stray[]>;
  /** Deletes one; false when it belongs to a snapshot after all. */
  dropStray(stray: Stray): Promise<boolean>;
}

/** True for a driver with {@link MendableDriver}'s ability. */
export function isMendable(driver: StorageDriver): driver is MendableDriver {
  return 'replace' in driver;
}

/** Optional ability: a limit that the file system has lost can be seen and set again; by the snapshot's key. */
export interface RelimitableDriver extends StorageDriver {
  /** Null where this driver's limits are not lost, or it has none. */
  readonly limits: KeptLimits | null;
}

/** True for a driver with {@link RelimitableDriver}'s ability. */
export function isRelimitable(driver: StorageDriver): driver is RelimitableDriver {
  return 'limits' in driver;
}

/** Limits that are kept apart from what they bound, so that either can be lost alone. */
export interface KeptLimits {
  /** Bytes; null where no limit is in force. Microseconds. */
  inForce(name: string): Promise<number | null>;
  /** Why none can be set now, in words an administrator can act on; null when one can. */
  obstacleTo(name: string): Promise<string | null>;
  /** Sets it, in the place of another one. ConflictError with what is to be done first. */
  set(name: string, sizeBytes: number): Promise<void>;
}

/** A directory without a snapshot. */
export interface Stray {
  readonly path: string;
  /** What snapshot it would be, by its name; null for files that lost theirs. */
  readonly key: string | null;
}

/** A snapshot or a {@link Stray} that nobody explains. */
export interface LeftoverTree {
  readonly name: string;
  readonly sizeBytes: number;
  /** Deletes it; false when it is needed after all. */
  readonly remove: () => Promise<boolean>;
}

export interface LayerUpkeep {
  /** Those of containers, by their ids; null where the driver can say nothing of them. */
  readonly limits: KeptLimits | null;
  /** What is wrong with a layer's tree without reading its files; null when nothing is. */
  examine(chainId: ChainId): Promise<string | null>;
  /**
   * Unpacks the layer's blob again beside it and compares file by file, content and attributes. Returns differences in words,
   * not all where there are many. Errors as {@link LayerStore.unpack}'s.
   */
  compare(chainId: ChainId, blobPath: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Unpacks the layer's blob again and puts it in the layer's place. */
  rebuild(chainId: ChainId, blobPath: string, signal: AbortSignal): Promise<void>;
  /**
   * Trees that belong to no layer and to none of `containers`; the ids are asked for after the trees were listed, so that what
   * is just being made is seen with its owner.
   */
  leftovers(containers: () => ReadonlySet<string>): Promise<readonly LeftoverTree[]>;
  /** The snapshot of a container: what it stands on; null when there is none. DataLossError when it cannot be read. */
  snapshotOf(containerId: string): Promise<{ readonly parent: ChainId | null } | null>;
}
