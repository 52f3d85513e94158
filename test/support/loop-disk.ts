/**
 * A file system of a kind on a file of this machine's, mounted on a directory of its own until it is disposed of:
 *
 *   const obstacle = LoopDisk.obstacle('btrfs');             // why there is none here, in words; null when there is
 *   await using disk = await LoopDisk.make('btrfs');
 *   await using engine = await TestEngine.start('--data-root', disk.path);   // goes before its disk does
 *
 * The loop device is detached by the kernel when the file system is unmounted: nothing of it outlives a killed test but
 * a mount below the temporary directory.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { run } from './engine.ts';
import { comesAlive, isGone } from './left-alive.ts';

/** What a disk can be formatted as. */
export type DiskKind = 'ext4' | 'xfs' | 'btrfs';

export interface DiskOptions {
  /** The file is sparse; xfs takes at least 300 and btrfs 110 MiB. */
  readonly sizeMib?: number;
  /** What `mount -o` takes beside `loop`. */
  readonly mountOptions?: readonly string[];
  /** More words for mkfs. */
  readonly mkfs?: readonly string[];
}

const MIB = 1024 * 1024;

/**
 * Quiet, without a discard of the whole file and with nothing reserved for root. Mixed block groups: a small btrfs that
 * was full once has no room for its metadata for a long while else.
 */
const FORMATTING: Readonly<Record<DiskKind, { readonly words: readonly string[]; readonly sizeMib: number }>> = {
  ext4: { words: ['-q', '-F', '-m', '0', '-E', 'nodiscard'], sizeMib: 128 },
  xfs: { words: ['-q', '-f', '-K'], sizeMib: 320 },
  btrfs: { words: ['-q', '-f', '-K', '--mixed'], sizeMib: 256 },
};

export class LoopDisk implements AsyncDisposable {
  readonly kind: DiskKind;
  /** Where the file system is mounted. */
  readonly path: string;
  /** The file that it lies in. */
  readonly image: string;
  readonly #scratch: string;
  readonly #options: DiskOptions;

  private constructor(kind: DiskKind, options: DiskOptions) {
    this.kind = kind;
    this.#options = options;
    this.#scratch = mkdtempSync(join(tmpdir(), `disk-${kind}-`));
    this.path = join(this.#scratch, 'mnt');
    this.image = join(this.#scratch, 'image');
  }

  /** Why this machine can have no such disk; null when it can. */
  static obstacle(kind: DiskKind): string | null {
    if (process.getuid?.() !== 0) return 'mounting needs root';
    if (!existsSync('/dev/loop-control')) return 'this machine has no loop devices';
    if (!isInstalled(`mkfs.${kind}`)) return `mkfs.${kind} is not installed`;
    return kernelHas(kind) ? null : `this kernel has no ${kind}`;
  }

  static async make(kind: DiskKind, options: DiskOptions = {}): Promise<LoopDisk> {
    const disk = new LoopDisk(kind, options);
    comesAlive(disk);
    try {
      await disk.#format();
      await disk.mount();
      return disk;
    } catch (error) {
      await disk[Symbol.asyncDispose]().catch(() => undefined);
      throw error;
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes all but about so many bytes of what is free with one file; the answer gives them back. */
  async fill(leaveBytes: number): Promise<Disposable> {
    const ballast = join(this.path, 'ballast');
    await checked('fallocate', '-l', String(Math.max(this.freeBytes - leaveBytes, 1)), ballast);
    const giveBack = (): void => {
      rmSync(ballast, { force: true });
      // btrfs counts them as free when it has committed.
      execFileSync('sync', ['-f', this.path]);
    };
    return { [Symbol.dispose]: giveBack };
  }

  /** Mounts it (again), as after a start of the machine. */
  async mount(): Promise<void> {
    const options = ['loop', ...(this.#options.mountOptions ?? [])].join(',');
    await checked('mount', '-t', this.kind, '-o', options, this.image, this.path);
  }

  /** Unmounts it with all that is mounted below; what was written stays in the image. */
  async unmount(): Promise<void> {
    const strict = await run('umount', ['-R', this.path], {});
    // What still uses it would keep the whole disk on the machine for good.
    if (strict.code !== 0) await run('umount', ['-R', '-l', this.path], {});
    if (strict.code !== 0 && !strict.stderr.includes('not mounted'))
      throw new Error(`the disk is in use: ${strict.stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    isGone(this);
    try {
      await this.unmount();
    } finally {
      rmSync(this.#scratch, { recursive: true, force: true });
    }
  }

  async #format(): Promise<void> {
    const { words, sizeMib } = FORMATTING[this.kind];
    mkdirSync(this.path);
    writeFileSync(this.image, '');
    truncateSync(this.image, (this.#options.sizeMib ?? sizeMib) * MIB);
    await checked(`mkfs.${this.kind}`, ...words, ...(this.#options.mkfs ?? []), this.image);
  }
}

async function checked(program: string, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, args, {});
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

function isInstalled(program: string): boolean {
  const places = ['/sbin', '/usr/sbin', ...(process.env['PATH'] ?? '').split(delimiter)];
  return places.some((place) => existsSync(join(place, program)));
}

/** A module is loaded by the first who mounts it, here by this question. */
function kernelHas(kind: DiskKind): boolean {
  const listed = (): boolean => new RegExp(`\\t${kind}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8'));
  if (listed()) return true;
  try {
    execFileSync('modprobe', [kind], { stdio: 'ignore' });
  } catch {
    // No module either, or no modprobe.
  }
  return listed();
}
