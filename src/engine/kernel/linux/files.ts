/** {@link FileCalls} by the C library; loads nothing else, so that a worker thread starts quickly. */
import { closeSync, constants, openSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { DataExtent, DeviceNumber, FileCalls, FilePath } from '../files.ts';
import type { Fd } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { asFd, AT_FDCWD, check, errnoError, lastErrno, libc, viaNode, withFd } from './libc.ts';

// By number where a symbol of glibc is younger (2.33) than the systems we run on.
const mknodat = libc.bind<(n: number, dirfd: number, path: FilePath, mode: number, device: bigint) => number>(
  'long syscall(long n, long dirfd, const char *path, long mode, uint64_t device)',
);
const openat2 = libc.bind<(n: 437, dirfd: number, path: string, how: Pointer, size: number) => number>(
  'long syscall(long n, long dirfd, const char *path, void *how, size_t size)',
);
const utimensat = libc.bind<(dirfd: number, path: FilePath, times: Pointer, flags: number) => number>(
  'int utimensat(int dirfd, const char *path, void *times, int flags)',
);
const lgetxattr = libc.bind<(path: FilePath, name: string, value: Pointer, size: number) => number>(
  'int64_t lgetxattr(const char *path, const char *name, void *value, size_t size)',
);
const lsetxattr = libc.bind<(path: FilePath, name: string, value: Pointer, size: number, flags: number) => number>(
  'int lsetxattr(const char *path, const char *name, void *value, size_t size, int flags)',
);
const llistxattr = libc.bind<(path: FilePath, list: Pointer, size: number) => number>(
  'int64_t llistxattr(const char *path, void *list, size_t size)',
);
const lremovexattr = libc.bind<(path: FilePath, name: string) => number>(
  'int lremovexattr(const char *path, const char *name)',
);
const lseek = libc.bind<(fd: number, offset: number, whence: number) => number>(
  'int64_t lseek(int fd, int64_t offset, int whence)',
);
const syncfs = libc.bind<(fd: number) => number>('int syncfs(int fd)');
const syncFileRange = libc.bind<(fd: number, offset: number, length: number, flags: number) => number>(
  'int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)',
);
const fallocate = libc.bind<(fd: number, mode: number, offset: number, length: number) => number>(
  'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
);
const unshare = libc.bind<(flags: number) => number>('int unshare(int flags)');
const chroot = libc.bind<(path: string) => number>('int chroot(const char *path)');
const chdir = libc.bind<(path: string) => number>('int chdir(const char *path)');
const fchdir = libc.bind<(fd: number) => number>('int fchdir(int fd)');

const SYS_MKNODAT = process.arch === 'arm64' ? 33 : 259;
const AT_SYMLINK_NOFOLLOW = 0x100;
const CLONE_FS = 0x200;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const O_TMPFILE = 0o20000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
/** What leads out is looked for inside, or refused. */
const IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
const WITHIN = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
const NO_SYMLINKS = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
const SYNC_FILE_RANGE_WRITE = 2;
const FALLOC_FL_KEEP_SIZE = 1;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EAGAIN = 11;
const ERANGE = 34;
const ENODATA = 61;
const ENOTSUP = 95;
const NS_PER_SECOND = 1_000_000_000n;
const NUL = Buffer.alloc(1);
/** openat2 gives EAGAIN when a rename ran beneath it; a tree that is never at rest must not hold us for ever. */
const OPEN_ATTEMPTS = 64;
/** Most attributes (capabilities, ACLs, overlay's marks) fit in; larger ones cost a second call. */
const FIRST_XATTR_BYTES = 256;

/** File calls of this kernel, for the thread that makes them. */
export class LinuxFiles implements FileCalls {
  #ownsRoot = false;

  mknod(path: FilePath, mode: number, device: bigint): void {
    check(mknodat(SYS_MKNODAT, AT_FDCWD, terminated(path), mode, device), 'mknod', path.toString());
  }

  /** Bits of the major number lie around those of the minor one: they were 8 and 8 once (makedev(3)). */
  device(major: number, minor: number): bigint {
    const [high, low] = [BigInt(major), BigInt(minor)];
    return ((high & ~0xfffn) << 32n) | ((low & ~0xffn) << 12n) | ((high & 0xfffn) << 8n) | (low & 0xffn);
  }

  splitDevice(rdev: number | bigint): DeviceNumber {
    const device = BigInt(rdev);
    return {
      major: Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn)),
      minor: Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn)),
    };
  }

  getXattr(path: FilePath, name: string): Buffer | null {
    const place = terminated(path);
    return fill('lgetxattr', path, (value, size) => lgetxattr(place, name, value, size));
  }

  setXattr(path: FilePath, name: string, value: Buffer): void {
    const place = terminated(path);
    check(lsetxattr(place, name, value.length === 0 ? null : value, value.length, 0), 'lsetxattr', path.toString());
  }

  listXattrs(path: FilePath): readonly string[] {
    const place = terminated(path);
    const list = fill('llistxattr', path, (bytes, size) => llistxattr(place, bytes, size));
    return list === null || list.length === 0 ? [] : list.toString('utf8', 0, list.length - 1).split('\0');
  }

  removeXattr(path: FilePath, name: string): void {
    if (lremovexattr(terminated(path), name) === 0) return;
    const errno = lastErrno();
    if (errno !== ENODATA && errno !== ENOTSUP) throw errnoError('lremovexattr', errno, path.toString());
  }

  setTimes(path: FilePath, atimeNs: bigint, mtimeNs: bigint): void {
    const times = Buffer.alloc(32);
    writeTime(times, 0, atimeNs);
    writeTime(times, 16, mtimeNs);
    check(utimensat(AT_FDCWD, terminated(path), times, AT_SYMLINK_NOFOLLOW), 'utimensat', path.toString());
  }

  nextData(fd: number, offset: number): DataExtent | null {
    const start = lseek(fd, offset, SEEK_DATA);
    if (start < 0) {
      const errno = lastErrno();
      if (errno === ENXIO) return null;
      throw errnoError('lseek', errno);
    }
    return { start, end: check(lseek(fd, start, SEEK_HOLE), 'lseek') };
  }

  allocate(fd: number, offset: number, length: number): void {
    check(fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length), 'fallocate');
  }

  startWriteOut(fd: number, offset: number, length: number): void {
    syncFileRange(fd, offset, length, SYNC_FILE_RANGE_WRITE);
  }

  syncFilesystem(path: string): void {
    const fd = viaNode('open', path, () => openSync(path, constants.O_RDONLY));
    withFd(fd, () => check(syncfs(fd), 'syncfs', path));
  }

  openBeneath(root: string | Fd, path: string, flags: number, mode = 0): Fd {
    if (typeof root === 'number') return openResolved(root, path, { flags, mode, resolve: IN_ROOT });
    const directory = viaNode('open', root, () => openSync(root, O_PATH | constants.O_DIRECTORY));
    return withFd(directory, (fd) => openResolved(fd, path, { flags, mode, resolve: IN_ROOT }));
  }

  openWithin(root: string, path: string, flags: number): Fd {
    const directory = viaNode('open', root, () => openSync(root, O_PATH | constants.O_DIRECTORY));
    return withFd(directory, (fd) => openResolved(fd, path, { flags, mode: 0, resolve: WITHIN }));
  }

  openWithoutLinks(path: string, flags: number): Fd {
    return openResolved(AT_FDCWD, path, { flags, mode: 0, resolve: NO_SYMLINKS });
  }

  jail(root: string): Disposable {
    if (isMainThread) throw new KernelError('chroot', 'EPERM', root, 'the main thread must keep its root directory');
    if (!this.#ownsRoot) check(unshare(CLONE_FS), 'unshare');
    this.#ownsRoot = true;
    const outer = viaNode('open', '/', () => openSync('/', O_PATH | constants.O_DIRECTORY));
    try {
      check(chroot(root), 'chroot', root);
      check(chdir('/'), 'chdir', '/');
    } catch (error) {
      closeSync(outer);
      throw error;
    }
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        withFd(outer, () => {
          check(fchdir(outer), 'fchdir');
          check(chroot('.'), 'chroot', '.');
        });
      },
    };
  }
}

/** Text gets its NUL from koffi, bytes from us. */
function terminated(path: FilePath): FilePath {
  return typeof path === 'string' ? path : Buffer.concat([path, NUL]);
}

/** Lets a call fill a buffer of the right size; null when there is no such attribute, or none at all. */
function fill(call: string, path: FilePath, into: (bytes: Buffer | null, size: number) => number): Buffer | null {
  let bytes = Buffer.alloc(FIRST_XATTR_BYTES);
  for (;;) {
    const length = into(bytes, bytes.length);
    if (length >= 0) return bytes.subarray(0, length);
    const errno = lastErrno();
    if (errno === ENODATA || errno === ENOTSUP) return null;
    if (errno !== ERANGE) throw errnoError(call, errno, path.toString());
    bytes = Buffer.alloc(Math.max(check(into(null, 0), call, path.toString()), bytes.length * 2));
  }
}

/** struct timespec: seconds i64 · nanoseconds i64, the latter never negative. */
function writeTime(times: Buffer, offset: number, timeNs: bigint): void {
  const nanoseconds = ((timeNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  times.writeBigInt64LE((timeNs - nanoseconds) / NS_PER_SECOND, offset);
  times.writeBigInt64LE(nanoseconds, offset + 8);
}

interface OpenWish {
  readonly flags: number;
  readonly mode: number;
  readonly resolve: number;
}

/** struct open_how: flags u64 · mode u64 · resolve u64. */
function openResolved(root: number, path: string, { flags, mode, resolve }: OpenWish): Fd {
  const how = Buffer.alloc(24);
  const creates = (flags & constants.O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE;
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  // Unlike open(2) it refuses a mode where nothing is made.
  how.writeBigUInt64LE(BigInt(creates ? mode : 0), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  for (let attempt = 1; ; attempt++) {
    const fd = openat2(437, root, path, how, how.length);
    if (fd >= 0) return asFd(fd);
    const errno = lastErrno();
    if (errno !== EAGAIN || attempt === OPEN_ATTEMPTS) throw errnoError('openat2', errno, path);
  }
}
