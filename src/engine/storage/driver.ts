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
 * offers `extractionRoot`, writes the bare layer directory) and applies the tar; `commit('extract-x', chainId)`.
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

export interface StorageDriver {
  /** `overlay2`, `vfs` … */
  readonly name: string;
  /** Lines of `docker info` below the driver's name, in Docker's order and words. */
  status(): readonly (readonly [string, string])[];
  /** Makes a writable snapshot. ConflictError when the key exists, NotFoundError for the parent. */
  prepare(key: string, parent: string | null): Promise<readonly Mount[]>;
  /** Makes a read-only snapshot of a committed one. */
  view(key: string, parent: string): Promise<readonly Mount[]>;
  /** How to mount an existing active or view snapshot. NotFoundError. */
  mounts(key: string): Promise<readonly Mount[]>;
  /** Freezes an active snapshot under `name`; durable when it returns. ConflictError when `name` exists (the active one stays). */
  commit(key: string, name: string): Promise<void>;
  /** Removes a snapshot. ConflictError while it has children; idempotent when it does not exist. */
  remove(key: string): Promise<void>;
  /** Null when there is none. */
  stat(key: string): Promise<SnapshotInfo | null>;
  /** NotFoundError when there is none. */
  usage(key: string): Promise<SnapshotUsage>;
  walk(): AsyncIterable<SnapshotInfo>;
}

/** Optional ability: layers can be written in place without their parents mounted (overlay2), so unpacking overlaps. */
export interface BareLayerDriver extends StorageDriver {
  /** The directory that holds only the active snapshot's own changes, and how whiteouts are spelled in it. */
  layerRoot(key: string): Promise<{ readonly path: string; readonly whiteouts: 'overlay' }>;
  /**
   * Gives an active snapshot that was prepared on null its parent, before it is mounted or committed: so a layer can
   * be written while its parent still is. NotFoundError for either.
   */
  adopt(key: string, parent: string): Promise<void>;
}

/** Optional ability: names for `GraphDriver.Data` of inspect. */
export interface DescribableDriver extends StorageDriver {
  /** Docker's words, such as `LowerDir`, `MergedDir`; empty for vfs but `dir`. */
  describe(key: string, mountPoint: string | null): Promise<Readonly<Record<string, string>>>;
}
