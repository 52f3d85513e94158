/**
 * File-system calls that Node does not have, for the workers that unpack and pack layers and for path-safe opening.
 *
 * Vocabulary: a *jail* is a worker thread's own root directory (chroot of that thread alone); a *beneath* open resolves
 * a path as if `root` were `/`, so that neither `..` nor a symbolic link leads out of it, in any race (openat2).
 *
 * Life cycle: none; every call is synchronous, stateless and returns at once. An implementation is made in the thread
 * that uses it and loads nothing but the C library, so that a worker starts quickly.
 *
 * Story 1, unpacking a layer in a worker: `using _ = files.jail(layerDirectory)`; from here `/` is the layer for this
 * thread: `fs.mkdirSync('/etc')`, `files.mknod('/dev/null', 0o20666, files.device(1, 3))`,
 * `files.setXattr('/usr/bin/ping', 'security.capability', value)`, `files.setTimes(path, atimeNs, mtimeNs)`. Leaving
 * the block restores the old root. Only synchronous `fs` calls: the thread pool knows nothing of the jail, and must have
 * been used once by the main thread before any worker is jailed (it would inherit the jail otherwise).
 *
 * Story 2, copying a file out of a container on the main thread: `fd = files.openBeneath(rootfs, '/etc/hostname',
 * constants.O_RDONLY)`; read it; `fs.closeSync(fd)`. A link to `/etc/passwd` inside resolves inside.
 *
 * Every failing call throws KernelError (kernel.ts) with call, errno and path. No call follows a symbolic link in the
 * last component, except `openBeneath` without O_NOFOLLOW, which follows it inside the root.
 */
import type { Fd } from './kernel.ts';

/** A path as text, or as bytes where it may hold names that are no UTF-8. */
export type FilePath = string | Buffer;

/** The number of a device node as mknod(2) and stat(2) have it. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** Where {@link FileCalls.nextData} looks. */
export interface DataExtent {
  /** Offset of the first byte of data. */
  readonly start: number;
  /** Offset of the first byte of the hole after it, or the size of the file. */
  readonly end: number;
}

/** Synchronous file-system calls beyond `node:fs`. */
export interface FileCalls {
  /**
   * Makes a node: `mode` carries the type (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFREG) and permissions, less the
   * umask; `device` is {@link FileCalls.device}'s (0 for a fifo). EEXIST when the path exists.
   */
  mknod(path: FilePath, mode: number, device: bigint): void;
  /** Makes a dev_t as stat(2) reports it in `rdev`. */
  device(major: number, minor: number): bigint;
  /** Takes a `rdev` apart. */
  splitDevice(rdev: number | bigint): DeviceNumber;

  /** The value of an extended attribute, of the link itself; null when it has none or the file system knows none. */
  getXattr(path: FilePath, name: string): Buffer | null;
  /** Creates or replaces an extended attribute, of the link itself. ENOTSUP where the file system knows none. */
  setXattr(path: FilePath, name: string, value: Buffer): void;
  /** Names of all extended attributes, sorted by the kernel's order; empty where the file system knows none. */
  listXattrs(path: FilePath): readonly string[];
  /** Removes an extended attribute; idempotent. */
  removeXattr(path: FilePath, name: string): void;

  /** Sets access and modification time in nanoseconds since 1970 (negative: before), of the link itself. */
  setTimes(path: FilePath, atimeNs: bigint, mtimeNs: bigint): void;

  /**
   * Writes everything that the file system below `path` still holds in memory to its disk (syncfs(2)): one call for a
   * whole tree. Blocks for as long as the disk takes: for workers only. Throws ENOSPC or EIO for what could not be written.
   */
  syncFilesystem(path: string): void;

  /**
   * Has the disk begin with a part of an open file, `length` 0: all from `offset` on, and waits for nothing
   * (sync_file_range(2)). A hint: whoever needs the data there syncs. Where it does not work it does nothing.
   */
  startWriteOut(fd: number, offset: number, length: number): void;

  /**
   * Gives a part of an open file its place on the disk; its size stays (fallocate(2), FALLOC_FL_KEEP_SIZE). Throws ENOSPC,
   * and EOPNOTSUPP where the file system cannot.
   */
  allocate(fd: number, offset: number, length: number): void;

  /** The next extent of data at or after `offset` (SEEK_DATA, SEEK_HOLE); null when only a hole follows. */
  nextData(fd: number, offset: number): DataExtent | null;

  /**
   * Opens `path` as if `root` were `/` (RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS), close-on-exec. `flags` are open(2)'s
   * (`fs.constants`), `mode` the permissions of a file that O_CREAT makes (less the umask). Works on the main thread.
   * `root` is a directory or an fd of one. Throws ELOOP, ENOENT, EXDEV (a magic link) and the like.
   */
  openBeneath(root: string | Fd, path: string, flags: number, mode?: number): Fd;

  /**
   * Opens `path` below the directory `root`, of which nothing may lead out, be it only for a moment (RESOLVE_BENEATH,
   * RESOLVE_NO_MAGICLINKS): EXDEV for `..` beyond it and for any absolute link. Works on the main thread.
   */
  openWithin(root: string, path: string, flags: number): Fd;

  /** Opens the absolute `path`, no part of which may be a symbolic link (RESOLVE_NO_SYMLINKS): ELOOP. Works on the main thread. */
  openWithoutLinks(path: string, flags: number): Fd;

  /**
   * Makes `root` the root and working directory of this worker thread alone, until disposed. Jails nest. Throws when
   * called on the main thread: the daemon never changes its own root.
   */
  jail(root: string): Disposable;
}
