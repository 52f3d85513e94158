/**
 * What Btrfs can do that no other file system can, by its ioctls (linux/btrfs.h).
 *
 * Vocabulary: a *subvolume* is a tree of files with an id of its own; it looks like a directory and may lie in another
 * one. A *snapshot* is a subvolume that begins with another's files and shares their space. A *group* counts what one
 * subvolume takes (qgroup `0/<id>`): there is one for each while quotas are on for the file system, and none otherwise.
 *
 * Life cycle: none. Whatever changes the disk waits for it in a pool thread; nothing here walks a tree of files.
 *
 * Story, a container: `snapshot('/d/btrfs/layer/tree', '/d/btrfs/c/tree')`; `limit('/d/btrfs/c/tree', { exclusiveBytes })`
 * when {@link BtrfsCalls.quotas} says that limits count; at the end each of `nested(…)` goes by `destroyById`, the tree
 * itself by `destroy`, and `dropGroup` gives up what was counted for them.
 *
 * Quotas are never switched on or off here: that is a matter of the whole file system, and of its administrator.
 *
 * Every failing call throws KernelError (kernel.ts) with call, errno and path. All of it needs CAP_SYS_ADMIN.
 */

/** What the kernel knows about a subvolume. */
export interface Subvolume {
  readonly id: bigint;
  /** Grows with each transaction that changed the subvolume. */
  readonly generation: bigint;
  /** The transaction in which it was made. */
  readonly madeIn: bigint;
  readonly isReadOnly: boolean;
}

/**
 * How the file system counts: `off` not at all; `full` what each subvolume refers to and has alone; `simple` what each has
 * brought (Linux 6.7); `inexact` while a scan is under way or due.
 */
export type QuotaState = 'off' | 'full' | 'simple' | 'inexact';

/** A limit that is not given is taken away. */
export interface GroupLimit {
  /** Of all that the subvolume refers to, shared or not. */
  readonly referencedBytes?: number;
  /** Of what it has alone. */
  readonly exclusiveBytes?: number;
}

/** What is counted for a subvolume, as of the last transaction; null for a limit that there is none of. */
export interface Group {
  readonly referencedBytes: number;
  readonly exclusiveBytes: number;
  readonly maxReferencedBytes: number | null;
  readonly maxExclusiveBytes: number | null;
}

export interface BtrfsCalls {
  /** Makes an empty subvolume, of the caller, 0777 less the umask. EEXIST. */
  create(path: string): Promise<void>;
  /** Makes a writable snapshot of the subvolume `from`. EEXIST; EINVAL when `from` is none. Durable when it returns. */
  snapshot(from: string, to: string): Promise<void>;
  /** Forbids to write into a subvolume, or allows it again. Durable when it returns. */
  setReadOnly(path: string, isReadOnly: boolean): Promise<void>;
  /** Deletes a subvolume with all its files; space comes back later. ENOTEMPTY while others lie in it, ENOENT. */
  destroy(path: string): Promise<void>;
  /** As {@link destroy}, of any subvolume on the file system of the directory `on`. */
  destroyById(on: string, id: bigint): Promise<void>;
  /** The subvolume whose top `path` is; null for other directories, other file systems, and where there is nothing. */
  look(path: string): Promise<Subvolume | null>;
  /** Ids of all subvolumes that lie in `id`, at any depth, the deepest first. */
  nested(on: string, id: bigint): Promise<readonly bigint[]>;
  /** How the file system of a directory counts. */
  quotas(on: string): Promise<QuotaState>;
  /** Limits the subvolume whose top `path` is. ENOTCONN or EINVAL when quotas are off. */
  limit(path: string, limit: GroupLimit): Promise<void>;
  /** What is counted for a subvolume, there or gone; null when nothing is. */
  group(on: string, id: bigint): Promise<Group | null>;
  /** Forgets what was counted for a subvolume. Idempotent. EBUSY while the kernel still takes its files away. */
  dropGroup(on: string, id: bigint): Promise<void>;
}
