/**
 * {@link ProjectQuotaCalls} by ioctl(2) and quotactl_fd(2), or quotactl(2) before Linux 5.14. The commands of xfs are used,
 * which the kernel also answers for every other file system (fs/quota/quota.c). Structures of linux/fs.h and
 * linux/dqblk_xfs.h; the unit of blocks is 512 bytes whatever the file system's is:
 *
 * ```
 * fsxattr         xflags u32 · extsize · nextents · projid u32 · cowextsize · pad 8                       28 bytes
 * fs_quota_stat   version s8 · pad · flags u16 · …                                                        80 bytes
 * fs_disk_quota   version s8 · flags s8 · fieldmask u16 · id u32 · blk_hard u64 · blk_soft u64 ·
 *                 ino_hard · ino_soft · bcount u64 · icount u64 · …                                      112 bytes
 * ```
 */
import { constants, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import type { ProjectQuotaCalls, ProjectQuotaState, ProjectUsage } from '../quota.ts';
import { LinuxFiles } from './files.ts';
import { check, errnoError, lastErrno, libc, viaNode, withFd, type Pointer } from './libc.ts';

const ioctl = libc.bind<(fd: number, request: number, argument: Pointer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
/** By number: glibc has no name for it. x86_64 and aarch64 share the number. */
const quotactlFd = libc.bind<(n: 443, fd: number, command: number, id: number, data: Pointer) => number>(
  'long syscall(long n, long fd, long command, long id, void *data)',
);
const quotactl = libc.bind<(command: number, device: string, id: number, data: Pointer) => number>(
  'int quotactl(int command, const char *device, int id, void *data)',
);

const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;
const FSXATTR_BYTES = 28;
const FSX_PROJECT = 12;

const PRJQUOTA = 2;
/** QCMD(command, PRJQUOTA). */
const GET_QUOTA = (0x5803 << 8) | PRJQUOTA;
const SET_LIMIT = (0x5804 << 8) | PRJQUOTA;
const GET_STATE = (0x5805 << 8) | PRJQUOTA;

const STATE_BYTES = 128;
const FS_QUOTA_PDQ_ACCT = 1 << 4;
const FS_QUOTA_PDQ_ENFD = 1 << 5;

const DISK_QUOTA_BYTES = 112;
const FS_DQUOT_VERSION = 1;
const FS_PROJ_QUOTA = 2;
const FS_DQ_BSOFT = 1 << 2;
const FS_DQ_BHARD = 1 << 3;
const BASIC_BLOCK_BYTES = 512n;

const EPERM = 1;
const ENOENT = 2;
const EIO = 5;
const EBADF = 9;
const EACCES = 13;
/** What any other failure says of a file system: it keeps no quotas. */
const FATAL = new Set([EPERM, ENOENT, EIO, EACCES]);

/** Calls quotactl_fd(2) or quotactl(2); errno, 0 when it succeeded. */
type QuotaCall = (path: string, command: number, project: number, data: Buffer) => number;

/** The project quotas of this kernel. `byDevice`: in the way of kernels without quotactl_fd(2). */
export function createProjectQuotaCalls(
  { byDevice }: { readonly byDevice: boolean } = { byDevice: !hasQuotactlFd() },
): ProjectQuotaCalls {
  const call = byDevice ? callByDevice : callByDescriptor;
  return {
    state(path: string): ProjectQuotaState {
      const state = Buffer.alloc(STATE_BYTES);
      const errno = call(path, GET_STATE, 0, state);
      if (FATAL.has(errno)) throw errnoError('quotactl', errno, path);
      if (errno !== 0) return 'none';
      const flags = state.readUInt16LE(2);
      if ((flags & FS_QUOTA_PDQ_ACCT) === 0) return 'none';
      return (flags & FS_QUOTA_PDQ_ENFD) === 0 ? 'counted' : 'enforced';
    },

    projectOf(path: string): number {
      return withDirectory(path, (fd) => attributesOf(fd, path).readUInt32LE(FSX_PROJECT));
    },

    setProject(path: string, project: number): void {
      withDirectory(path, (fd) => {
        const attributes = attributesOf(fd, path);
        attributes.writeUInt32LE((attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT) >>> 0, 0);
        attributes.writeUInt32LE(project, FSX_PROJECT);
        check(ioctl(fd, FS_IOC_FSSETXATTR, attributes), 'ioctl(FS_IOC_FSSETXATTR)', path);
      });
    },

    usage(path: string, project: number): ProjectUsage | null {
      const quota = Buffer.alloc(DISK_QUOTA_BYTES);
      const errno = call(path, GET_QUOTA, project, quota);
      if (errno === ENOENT) return null;
      if (errno !== 0) throw errnoError('quotactl', errno, path);
      return {
        limitBytes: Number(quota.readBigUInt64LE(8) * BASIC_BLOCK_BYTES),
        usedBytes: Number(quota.readBigUInt64LE(40) * BASIC_BLOCK_BYTES),
        inodes: Number(quota.readBigUInt64LE(48)),
      };
    },

    limit(path: string, project: number, sizeBytes: number): void {
      const quota = Buffer.alloc(DISK_QUOTA_BYTES);
      const blocks = (BigInt(sizeBytes) + BASIC_BLOCK_BYTES - 1n) / BASIC_BLOCK_BYTES;
      quota.writeInt8(FS_DQUOT_VERSION, 0);
      quota.writeInt8(FS_PROJ_QUOTA, 1);
      quota.writeUInt16LE(FS_DQ_BHARD | FS_DQ_BSOFT, 2);
      quota.writeUInt32LE(project, 4);
      quota.writeBigUInt64LE(blocks, 8);
      quota.writeBigUInt64LE(blocks, 16);
      const errno = call(path, SET_LIMIT, project, quota);
      if (errno !== 0) throw errnoError('quotactl', errno, path);
    },
  };
}

/** It looks at the descriptor first. */
function hasQuotactlFd(): boolean {
  return quotactlFd(443, -1, GET_STATE, 0, null) < 0 && lastErrno() === EBADF;
}

const callByDescriptor: QuotaCall = (path, command, project, data) =>
  withDirectory(path, (fd) => (quotactlFd(443, fd, command, project, data) < 0 ? lastErrno() : 0));

const callByDevice: QuotaCall = (path, command, project, data) => {
  const device = deviceBelow(path);
  // The C library takes the number as signed; the kernel does not.
  return quotactl(command, device, project | 0, data) < 0 ? lastErrno() : 0;
};

/**
 * The block device of a file system, as devtmpfs or udev name it. Of one that lies on no device quotactl is asked with a
 * name that is none, and says what it says of all that keep no quotas (ENOTBLK).
 */
function deviceBelow(path: string): string {
  const { major, minor } = new LinuxFiles().splitDevice(viaNode('stat', path, () => statSync(path)).dev);
  const number = `${String(major)}:${String(minor)}`;
  const byNumber = `/dev/block/${number}`;
  if (existsSync(byNumber)) return byNumber;
  const sysfs = `/sys/dev/block/${number}/uevent`;
  const name = existsSync(sysfs) ? /^DEVNAME=(.+)$/m.exec(readFileSync(sysfs, 'utf8'))?.[1] : undefined;
  return name === undefined ? '/dev/null' : `/dev/${name}`;
}

function attributesOf(fd: number, path: string): Buffer {
  const attributes = Buffer.alloc(FSXATTR_BYTES);
  check(ioctl(fd, FS_IOC_FSGETXATTR, attributes), 'ioctl(FS_IOC_FSGETXATTR)', path);
  return attributes;
}

function withDirectory<T>(path: string, job: (fd: number) => T): T {
  const fd = viaNode('open', path, () => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  return withFd(fd, job);
}
