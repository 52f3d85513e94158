/** File systems on block devices: made, recognised, mounted for a moment and made larger. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Undo } from '../../../base/undo.ts';
import type { MountCalls, ProcessCalls } from '../../kernel/kernel.ts';
import type { Mount } from '../../oci/mount.ts';
import { systemPrograms, type Programs } from './pool/programs.ts';

/** What a device may be formatted as. */
export type DeviceFileSystem = 'xfs' | 'ext4';

/** What is on a device. */
export interface FoundFileSystem {
  readonly type: DeviceFileSystem;
  readonly uuid: string;
}

export interface FileSystemTools {
  /** dockerd's choice where none is configured: xfs where it can be made and mounted, else ext4. */
  preferred(): Promise<DeviceFileSystem>;
  /** Formats a device. UnavailableError with the program's words. */
  make(type: DeviceFileSystem, device: string, words: readonly string[]): Promise<void>;
  /** Null for neither. */
  identify(device: string): Promise<FoundFileSystem | null>;
  /** Has a file system fill its device, which has grown; `mount` is how it is mounted. UnavailableError. */
  grow(type: DeviceFileSystem, mount: Mount): Promise<void>;
  /** Leaves the new file system's root empty, and on the disk: mkfs.ext4 puts `lost+found` there. */
  clear(mount: Mount): Promise<void>;
}

/** Options of {@link LinuxFileSystems}. */
export interface LinuxFileSystemsOptions {
  readonly mounts: Pick<MountCalls, 'mountInThread' | 'unmountInThread' | 'syncFilesystem'>;
  readonly processes: Pick<ProcessCalls, 'capture'>;
  /** Where they are mounted meanwhile; made when missing. */
  readonly mountRoot: string;
}

/** With each next one more is written; the first takes a new thin device for what it is: full of zeros. */
const EXT4_WAYS = [
  'nodiscard,assume_storage_prezeroed=1',
  'nodiscard,lazy_itable_init=0,lazy_journal_init=0',
  'nodiscard,lazy_itable_init=0',
];
const XFS = { magicAt: 0, magic: 'XFSB', uuidAt: 32 };
const EXT4 = { magicAt: 1024 + 56, magic: '\x53\xef', uuidAt: 1024 + 104 };
const SUPERBLOCK_BYTES = 2048;

/** By the file systems' own programs, as dockerd does; only ever when a base or a container of another size is made. */
export class LinuxFileSystems implements FileSystemTools {
  readonly #options: LinuxFileSystemsOptions;
  readonly #programs: Programs;

  constructor(options: LinuxFileSystemsOptions) {
    this.#options = options;
    this.#programs = systemPrograms(options.processes);
  }

  async preferred(): Promise<DeviceFileSystem> {
    if ((await this.#programs.find('mkfs.xfs')) === null) return 'ext4';
    if (await kernelHas('xfs')) return 'xfs';
    await this.#programs.run('modprobe', ['xfs']).catch(() => undefined);
    return (await kernelHas('xfs')) ? 'xfs' : 'ext4';
  }

  async make(type: DeviceFileSystem, device: string, words: readonly string[]): Promise<void> {
    if (type === 'xfs') {
      await this.#programs.run('mkfs.xfs', [...words, device]);
      return;
    }
    let failure: unknown = null;
    for (const way of EXT4_WAYS) {
      failure = await this.#programs.run('mkfs.ext4', ['-E', way, ...words, device]).then(
        () => null,
        (error: unknown) => error,
      );
      if (failure === null) break;
    }
    if (failure !== null) throw failure as Error;
    // Never a check because of how often it was mounted, or when.
    await this.#programs.run('tune2fs', ['-c', '-1', '-i', '0', device]);
  }

  async identify(device: string): Promise<FoundFileSystem | null> {
    await using file = await open(device, 'r');
    const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
    await file.read(bytes, 0, bytes.length, 0);
    if (bytes.toString('latin1', XFS.magicAt, XFS.magicAt + 4) === XFS.magic) {
      return { type: 'xfs', uuid: uuidAt(bytes, XFS.uuidAt) };
    }
    const isExt4 = bytes.toString('latin1', EXT4.magicAt, EXT4.magicAt + 2) === EXT4.magic;
    return isExt4 ? { type: 'ext4', uuid: uuidAt(bytes, EXT4.uuidAt) } : null;
  }

  async grow(type: DeviceFileSystem, mount: Mount): Promise<void> {
    await this.#mounted(mount, async (target) => {
      if (type === 'ext4') await this.#programs.run('resize2fs', [mount.source]);
      else await this.#programs.run('xfs_growfs', [target]);
    });
  }

  async clear(mount: Mount): Promise<void> {
    await this.#mounted(mount, async (target) => {
      await rmdir(join(target, 'lost+found')).catch(() => undefined);
      await this.#options.mounts.syncFilesystem(target);
    });
  }

  async #mounted(mount: Mount, job: (target: string) => Promise<void>): Promise<void> {
    const { mounts, mountRoot } = this.#options;
    const target = join(mountRoot, `device-${randomBytes(6).toString('hex')}`);
    await Undo.guard(async (undo) => {
      await mkdir(target, { recursive: true, mode: 0o700 });
      undo.defer(async () => rmdir(target));
      await mounts.mountInThread(mount, target);
      undo.defer(async () => mounts.unmountInThread(target));
      await job(target);
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
    });
  }
}

async function kernelHas(type: string): Promise<boolean> {
  return (await readFile('/proc/filesystems', 'utf8')).split('\n').some((line) => line.split('\t')[1] === type);
}

function uuidAt(bytes: Buffer, offset: number): string {
  const hex = bytes.toString('hex', offset, offset + 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
