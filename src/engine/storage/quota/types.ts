/**
 * Limits on how much a directory's tree may take, kept by the file system it lies on.
 *
 * Vocabulary: a *limited directory* is one that was made by {@link DirectoryQuotas.make}: an ordinary directory with a
 * project of its own (xfs, ext4), or a subvolume with a group of its own (btrfs). Whoever writes more into it gets EDQUOT
 * or ENOSPC. Nothing about the file system as a whole is changed: quotas that are off stay off.
 *
 * Story 1, `docker run --storage-opt size=1G`: overlay2 makes the snapshot's directory with
 * `make(path, { sizeBytes: 1 GiB, mode })`; its removal is `drop(path)`, then the directory is deleted as any other.
 *
 * Story 2, `docker volume create -o size=1G`: the local driver does the same with `_data`.
 */

import type { KeptLimits } from '../mending.ts';

/** How a limited directory is made. */
export interface LimitedDirectory {
  readonly sizeBytes: number;
  /** Of the directory, whatever the umask is. */
  readonly mode: number;
}

export interface DirectoryQuotas {
  /** The limits by the paths of their directories, where they can be lost apart from those; absent where they cannot. */
  readonly limits?: KeptLimits;
  /** Why nothing below its root can be limited, in words an administrator can act on; null when it can. */
  readonly obstacle: string | null;
  /** Makes an empty directory with a limit. EEXIST; InvalidArgumentError with {@link obstacle}. Leaves nothing on failure. */
  make(path: string, directory: LimitedDirectory): Promise<void>;
  /** Bytes that count against the limit, and the limit; null for what is no limited directory. Microseconds, no walk. */
  usage(path: string): Promise<{ readonly usedBytes: number; readonly limitBytes: number } | null>;
  /**
   * Gives up what the file system keeps for the limit, before the directory is deleted; on btrfs it deletes the subvolume
   * with all that is in it. Idempotent; nothing for an ordinary directory.
   */
  drop(path: string): Promise<void>;
}
