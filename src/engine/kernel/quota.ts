/**
 * Project quotas of a file system: what all files of one project take together is counted, and bounded (xfs, ext4, f2fs).
 *
 * Vocabulary: a *project* is a number that an inode carries beside its owner; 0 means none. What is made in a directory
 * of a project belongs to it as well (FS_XFLAG_PROJINHERIT), and nothing can be renamed or linked into it from another.
 *
 * Life cycle: none. Every call is synchronous, stateless and takes microseconds; `path` is a directory on the file
 * system that is meant.
 *
 * Story 1: `setProject(directory, 40_000)` while it is empty; `limit(directory, 40_000, 1024 ** 3)`; whoever writes more
 * into it gets ENOSPC (xfs) or EDQUOT (ext4). Later `limit(directory, 40_000, 0)`, and the directory goes.
 *
 * Story 2, is a number taken? `usage(directory, 40_000)`: null, or all of it zero, where nobody uses it.
 *
 * Every failing call throws KernelError (kernel.ts) with call, errno and path.
 */

/** What a file system does for projects: nothing, counting, or counting and refusing what is too much. */
export type ProjectQuotaState = 'none' | 'counted' | 'enforced';

/** What belongs to a project, and its limit. */
export interface ProjectUsage {
  readonly usedBytes: number;
  readonly inodes: number;
  /** 0: unlimited. */
  readonly limitBytes: number;
}

export interface ProjectQuotaCalls {
  /** `none` also where the kernel was built without quotas. */
  state(path: string): ProjectQuotaState;
  /** The project of a directory. ENOTTY or ENOTSUP where the file system knows no projects. */
  projectOf(path: string): number;
  /** Puts a directory, and what will be made in it, into a project. EINVAL for a number that is too large for it. */
  setProject(path: string, project: number): void;
  /** Null when nothing is known of the project. */
  usage(path: string, project: number): ProjectUsage | null;
  /** Bounds what a project takes, rounded up to 512 bytes; 0 takes the limit away. */
  limit(path: string, project: number, sizeBytes: number): void;
}
