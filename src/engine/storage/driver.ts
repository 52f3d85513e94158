/**
 * A storage driver keeps layered file trees and hands back how to mount them; it never mounts.
 *
 * Vocabulary: a *snapshot* is a tree named by a key. A *committed* snapshot is immutable, may have children and is named
 * by its chain id; an *active* one is writable and has no children (a container's root, or a layer being unpacked); a
 * *view* is read-only. The *parent* of a snapshot is a committed one, or null for an empty tree.
 *
 * Life cycle: prepare(key, parent) → mounts(key) … → commit(key, name) | remove(key).
 *
 * Story 1, unpack a layer: `prepare('extract-x', parent)` gives mounts; the unpacker mounts them (or, for a driver that
 * offers `layerRoot`, writes the bare layer directory) and applies the tar; `commit('extract-x', chainId)`.
 * A daemon killed in between leaves an active `extract-` snapshot, which start-up removes.
 *
 * Story 2, a container: `prepare(containerId, chainId)`; the engine mounts what it got on the container's rootfs; stop
 * unmounts; start calls `mounts(containerId)` again; `remove(containerId)` when the container goes.
 *
 * Every method is safe to call at the same time for different keys; callers serialise one key.
 */
import type { Mount } from '../oci/mount.ts';

export type SnapshotKind = 'active' | 'view' | 'committed';

export interface SnapshotInfo {
  readonly key: string;
  readonly kind: SnapshotKind;
  readonly parent: string | null;
}

/** Space used by one snapshot alone, without its parents. */
export interface SnapshotUsage {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** What a container's snapshot may be given; one that is prepared without is a layer's, which nothing bounds. */
export interface SnapshotOptions {
  /** Most bytes that it may take for itself (`--storage-opt size=`); null: what the driver is set up for. */
  readonly sizeBytes: number | null;
}

/** Pairs of a word and its value. */
export type StorageStatus = readonly (readonly [string, string])[];

export interface StorageDriver {
  /** `overlay2`, `vfs` … */
  readonly name: string;
  /** Directory on whose file system lies what it writes down. */
  readonly root: string;
  /** Lines of `docker info` below the driver's name, in Docker's order and words. */
  status(): StorageStatus | Promise<StorageStatus>;
  /**
   * Makes a writable snapshot. ConflictError when the key exists, NotFoundError for the parent, InvalidArgumentError in
   * Docker's words for a size that it cannot be held to here.
   */
  prepare(key: string, parent: string | null, options?: SnapshotOptions): Promise<readonly Mount[]>;
  /** Makes a read-only snapshot of a committed one. */
  view(key: string, parent: string): Promise<readonly Mount[]>;
  /** How to mount an existing active or view snapshot. NotFoundError. */
  mounts(key: string): Promise<readonly Mount[]>;
  /**
   * Freezes an active snapshot under `name`: durable when the file system of {@link root} has been written out since.
   * ConflictError when `name` exists (the active one stays).
   */
  commit(key: string, name: string): Promise<void>;
  /** Removes a snapshot, and ends all holds on it. ConflictError while it has children; idempotent when it does not exist. */
  remove(key: string): Promise<void>;
  /** Null when there is none. */
  stat(key: string): Promise<SnapshotInfo | null>;
  /** What it holds itself, but for what lies at the paths of `except`; NotFoundError when there is none. */
  usage(key: string, except?: readonly string[]): Promise<SnapshotUsage>;
  walk(): AsyncIterable<SnapshotInfo>;
}

/**
 * Optional ability: what `prepare`, `view` and `mounts` give stands on something that is switched on for it (a block
 * device), and off again when nobody needs it. Each of these calls is a hold on the snapshot.
 */
export interface HeldDriver extends StorageDriver {
  /**
   * Ends one hold: what was mounted by it no longer is. With the last one the device goes, or, while the kernel still
   * has it open, when that is over. Holds end with the daemon, what is mounted stays: where there is no hold, or no such
   * snapshot, a device that is there all the same goes likewise. Before `commit` all holds on the key must have ended.
   */
  release(key: string): Promise<void>;
}

/** True for a driver with {@link HeldDriver}'s ability. */
export function isHeld(driver: StorageDriver): driver is HeldDriver {
  return 'release' in driver;
}

/** Ends a hold where the driver has such; call it after whatever `prepare`, `view` or `mounts` gave is unmounted. */
export async function release(driver: StorageDriver, key: string): Promise<void> {
  if (isHeld(driver)) await driver.release(key);
}

/** Ends what a driver has open for itself (a pool); what is mounted stays. Nothing for most. */
export function closing(driver: StorageDriver): AsyncDisposable {
  const close = async (): Promise<void> => {
    if (Symbol.asyncDispose in driver) await (driver as StorageDriver & AsyncDisposable)[Symbol.asyncDispose]();
  };
  return { [Symbol.asyncDispose]: close };
}

/** Optional ability: what it keeps lies elsewhere than on its directory's file system. */
export interface RoomyDriver extends StorageDriver {
  /** Bytes that may still be written there. */
  freeBytes(): Promise<number>;
}

/** True for a driver with {@link RoomyDriver}'s ability. */
export function hasRoomOfItsOwn(driver: StorageDriver): driver is RoomyDriver {
  return 'freeBytes' in driver;
}

/** Optional ability: a limit on a snapshot would be one on the layer that it becomes, and on all that stands on that. */
export interface LimitingDriver extends StorageDriver {
  /** True for a snapshot that has a limit of its own. NotFoundError. */
  isLimited(key: string): Promise<boolean>;
}

/** True for a driver with {@link LimitingDriver}'s ability. */
export function isLimiting(driver: StorageDriver): driver is LimitingDriver {
  return 'isLimited' in driver;
}

/** True for a driver with {@link BareLayerDriver}'s ability. */
export function isBare(driver: StorageDriver): driver is BareLayerDriver {
  return 'layerRoot' in driver;
}

/** Optional ability: layers can be written in place without their parents mounted (overlay2), so unpacking overlaps. */
export interface BareLayerDriver extends StorageDriver {
  /** The directory that holds only the active snapshot's own changes, and how whiteouts are spelled in it. */
  layerRoot(key: string): Promise<{ readonly path: string; readonly whiteouts: 'overlay' }>;
  /** The same directories of all its parents, nearest first. */
  parentRoots(key: string): Promise<readonly string[]>;
  /**
   * Gives an active snapshot that was prepared on null its parent, before it is mounted or committed: so a layer can
   * be written while its parent still is. NotFoundError for either.
   */
  adopt(key: string, parent: string): Promise<void>;
}

/** True for a driver with {@link DescribableDriver}'s ability. */
export function isDescribable(driver: StorageDriver): driver is DescribableDriver {
  return 'describe' in driver;
}

/** Optional ability: names for `GraphDriver.Data` of inspect. */
export interface DescribableDriver extends StorageDriver {
  /** Docker's words: `LowerDir`, `MergedDir`, `UpperDir`, `WorkDir`. */
  describe(key: string, mountPoint: string | null): Promise<Readonly<Record<string, string>>>;
}
