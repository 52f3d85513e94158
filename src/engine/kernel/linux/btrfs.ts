/**
 * {@link BtrfsCalls} by ioctl(2). Structures of linux/btrfs.h and btrfs_tree.h that are used, all little-endian:
 *
 * ```
 * btrfs_ioctl_vol_args               fd i64 · name 4088                                                     4096 bytes
 * btrfs_ioctl_vol_args_v2            fd i64 · transid · flags · unused 32 · name 4040, or id u64            4096 bytes
 * btrfs_ioctl_get_subvol_info_args   id u64 · name 256 · parent · dirid · generation · flags · 3 × uuid 16 ·
 *                                    ctransid · otransid · …                                                 504 bytes
 * btrfs_ioctl_qgroup_limit_args      id u64 · flags · max_rfer · max_excl · rsv_rfer · rsv_excl               48 bytes
 * btrfs_ioctl_qgroup_create_args     create u64 · id u64                                                      16 bytes
 * btrfs_qgroup_status_item           version u64 · generation · flags · rescan
 * btrfs_qgroup_info_item             generation u64 · rfer · rfer_cmpr · excl · excl_cmpr
 * btrfs_qgroup_limit_item            flags u64 · max_rfer · max_excl · rsv_rfer · rsv_excl
 * ```
 */
import { lstatSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { BtrfsCalls, Group, GroupLimit, QuotaState, Subvolume } from '../btrfs.ts';
import { KernelError } from '../kernel.ts';
import { call, requestIn, requestOut, withDirectory } from './btrfs-ioctl.ts';
import { searchTree, type TreeItem } from './btrfs-search.ts';

const SNAP_DESTROY = requestOut('BTRFS_IOC_SNAP_DESTROY', 15, 4096);
const SNAP_CREATE = requestOut('BTRFS_IOC_SNAP_CREATE_V2', 23, 4096);
const SUBVOL_CREATE = requestOut('BTRFS_IOC_SUBVOL_CREATE_V2', 24, 4096);
const SUBVOL_GETFLAGS = requestIn('BTRFS_IOC_SUBVOL_GETFLAGS', 25, 8);
const SUBVOL_SETFLAGS = requestOut('BTRFS_IOC_SUBVOL_SETFLAGS', 26, 8);
const QGROUP_CREATE = requestOut('BTRFS_IOC_QGROUP_CREATE', 42, 16);
const QGROUP_LIMIT = requestIn('BTRFS_IOC_QGROUP_LIMIT', 43, 48);
const GET_SUBVOL_INFO = requestIn('BTRFS_IOC_GET_SUBVOL_INFO', 60, 504);
const SNAP_DESTROY_V2 = requestOut('BTRFS_IOC_SNAP_DESTROY_V2', 63, 4096);

/** Inode of every subvolume's top. */
const TOP_INODE = 256n;
const SUBVOL_RDONLY = 1n << 1n;
const SUBVOL_SPEC_BY_ID = 1n << 4n;
const ROOT_TREE = 1n;
const QUOTA_TREE = 8n;
const ROOT_REF = 156;
const QGROUP_STATUS = 240;
const QGROUP_INFO = 242;
const QGROUP_LIMITS = 244;
const STATUS_ON = 1n;
const STATUS_RESCAN = 2n;
const STATUS_INCONSISTENT = 4n;
const STATUS_SIMPLE = 8n;
const LIMIT_REFERENCED = 1n;
const LIMIT_EXCLUSIVE = 2n;
const FLAGS_AT = 16;
const NAME_AT = 56;
/** To write a limit that ends one: CLEAR_VALUE of fs/btrfs/qgroup.c. */
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;

/** Btrfs of this kernel. */
export class LinuxBtrfs implements BtrfsCalls {
  async create(path: string): Promise<void> {
    await withDirectory(dirname(path), async (fd) => call(fd, SUBVOL_CREATE, named(path), path));
  }

  async snapshot(from: string, to: string): Promise<void> {
    await withDirectory(from, async (source) => {
      const argument = named(to);
      argument.writeBigInt64LE(BigInt(source), 0);
      await withDirectory(dirname(to), async (fd) => call(fd, SNAP_CREATE, argument, to));
    });
  }

  async setReadOnly(path: string, isReadOnly: boolean): Promise<void> {
    await withDirectory(path, async (fd) => {
      const flags = Buffer.alloc(8);
      await call(fd, SUBVOL_GETFLAGS, flags, path);
      const others = flags.readBigUInt64LE() & ~SUBVOL_RDONLY;
      flags.writeBigUInt64LE(isReadOnly ? others | SUBVOL_RDONLY : others);
      await call(fd, SUBVOL_SETFLAGS, flags, path);
    });
  }

  async destroy(path: string): Promise<void> {
    const argument = Buffer.alloc(4096);
    argument.write(basename(path), 8);
    await withDirectory(dirname(path), async (fd) => call(fd, SNAP_DESTROY, argument, path));
  }

  async destroyById(on: string, id: bigint): Promise<void> {
    const argument = Buffer.alloc(4096);
    argument.writeBigUInt64LE(SUBVOL_SPEC_BY_ID, FLAGS_AT);
    argument.writeBigUInt64LE(id, NAME_AT);
    await withDirectory(on, async (fd) => call(fd, SNAP_DESTROY_V2, argument, `${on}: subvolume ${String(id)}`));
  }

  async look(path: string): Promise<Subvolume | null> {
    const info = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (info?.ino !== TOP_INODE || !info.isDirectory()) return null;
    const argument = Buffer.alloc(504);
    try {
      await withDirectory(path, async (fd) => call(fd, GET_SUBVOL_INFO, argument, path));
    } catch (error) {
      // Another file system, whose inode has that number by chance.
      if (errnoCodeOf(error) === 'ENOTTY') return null;
      throw error;
    }
    return {
      id: argument.readBigUInt64LE(0),
      generation: argument.readBigUInt64LE(280),
      // On the disk the bit is the lowest one, not that of the call.
      isReadOnly: (argument.readBigUInt64LE(288) & 1n) !== 0n,
      madeIn: argument.readBigUInt64LE(352),
    };
  }

  async nested(on: string, id: bigint): Promise<readonly bigint[]> {
    return withDirectory(on, async (fd) => {
      const found: bigint[] = [];
      const pending = [id];
      for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
        const children = await searchTree(fd, { tree: ROOT_TREE, objectId: parent, type: ROOT_REF }, on);
        for (const { offset } of children) {
          found.push(offset);
          pending.push(offset);
        }
      }
      return found.reverse();
    });
  }

  async quotas(on: string): Promise<QuotaState> {
    const [status] = await this.#quotaItems(on, QGROUP_STATUS, 0n);
    const flags = status?.body.readBigUInt64LE(16) ?? 0n;
    if ((flags & STATUS_ON) === 0n) return 'off';
    if ((flags & STATUS_SIMPLE) !== 0n) return 'simple';
    return (flags & (STATUS_RESCAN | STATUS_INCONSISTENT)) === 0n ? 'full' : 'inexact';
  }

  async limit(path: string, { referencedBytes, exclusiveBytes }: GroupLimit): Promise<void> {
    const argument = Buffer.alloc(48);
    argument.writeBigUInt64LE(LIMIT_REFERENCED | LIMIT_EXCLUSIVE, 8);
    argument.writeBigUInt64LE(referencedBytes === undefined ? NO_LIMIT : BigInt(referencedBytes), 16);
    argument.writeBigUInt64LE(exclusiveBytes === undefined ? NO_LIMIT : BigInt(exclusiveBytes), 24);
    await withDirectory(path, async (fd) => call(fd, QGROUP_LIMIT, argument, path));
  }

  async group(on: string, id: bigint): Promise<Group | null> {
    const [info] = await this.#quotaItems(on, QGROUP_INFO, id);
    if (info === undefined) return null;
    const [limit] = await this.#quotaItems(on, QGROUP_LIMITS, id);
    const limited = limit?.body.readBigUInt64LE(0) ?? 0n;
    const limitOf = (bit: bigint, at: number): number | null =>
      limit === undefined || (limited & bit) === 0n ? null : Number(limit.body.readBigUInt64LE(at));
    return {
      referencedBytes: Number(info.body.readBigUInt64LE(8)),
      exclusiveBytes: Number(info.body.readBigUInt64LE(24)),
      maxReferencedBytes: limitOf(LIMIT_REFERENCED, 8),
      maxExclusiveBytes: limitOf(LIMIT_EXCLUSIVE, 16),
    };
  }

  async dropGroup(on: string, id: bigint): Promise<void> {
    const argument = Buffer.alloc(16);
    argument.writeBigUInt64LE(id, 8);
    try {
      await withDirectory(on, async (fd) => call(fd, QGROUP_CREATE, argument, `${on}: group 0/${String(id)}`));
    } catch (error) {
      // No such group, or none at all: quotas are off.
      if (!['ENOENT', 'ENOTCONN', 'EINVAL'].includes(errnoCodeOf(error) ?? '')) throw error;
    }
  }

  /** Nothing when quotas are off: then there is no such tree. */
  async #quotaItems(on: string, type: number, offset: bigint): Promise<readonly TreeItem[]> {
    return withDirectory(on, async (fd) => {
      try {
        return await searchTree(fd, { tree: QUOTA_TREE, objectId: 0n, type, offset }, on);
      } catch (error) {
        if (errnoCodeOf(error) === 'ENOENT') return [];
        throw error;
      }
    });
  }
}

/** The v2 argument for a new subvolume at `path`. */
function named(path: string): Buffer {
  const name = basename(path);
  const argument = Buffer.alloc(4096);
  if (argument.write(name, NAME_AT) < Buffer.byteLength(name)) throw new KernelError('ioctl', 'ENAMETOOLONG', path);
  return argument;
}
