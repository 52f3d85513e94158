import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';
import type { FileCalls } from '../../kernel/files.ts';
import type { CopyJob } from './job.ts';
import { layerFault } from './layer-fault.ts';
import { Cancelled, type JobControl } from './unpack-blob.ts';

/**
 * Copies everything below one directory into another empty one: contents (shared where the file system can), hard
 * links among the files, owners, modes, extended attributes, device nodes, times. Nobody writes to either meanwhile.
 */
export function copyTree(job: CopyJob, files: FileCalls, control: JobControl): void {
  new TreeCopy(job, files, control).run();
}

class TreeCopy {
  readonly #job: CopyJob;
  readonly #files: FileCalls;
  readonly #control: JobControl;
  /** Files with several names: inode → the first copy. */
  readonly #linked = new Map<bigint, string>();

  constructor(job: CopyJob, files: FileCalls, control: JobControl) {
    this.#job = job;
    this.#files = files;
    this.#control = control;
  }

  run(): void {
    this.#directory('', lstatSync(this.#job.from, { bigint: true }));
  }

  /** Recursion is as deep as the tree; PATH_MAX bounds it. */
  #directory(path: string, info: BigIntStats): void {
    for (const name of readdirSync(join(this.#job.from, path))) {
      if (this.#control.isCancelled()) throw new Cancelled();
      this.#entry(path === '' ? name : `${path}/${name}`);
    }
    this.#describe(path, info);
  }

  #entry(path: string): void {
    const from = join(this.#job.from, path);
    const to = join(this.#job.to, path);
    try {
      const info = lstatSync(from, { bigint: true });
      if (info.isDirectory()) {
        mkdirSync(to);
        this.#directory(path, info);
        return;
      }
      const first = info.nlink > 1n ? this.#linked.get(info.ino) : undefined;
      if (first !== undefined) {
        linkSync(first, to);
        return;
      }
      this.#make(from, to, info);
      if (info.nlink > 1n) this.#linked.set(info.ino, to);
      this.#describe(path, info);
    } catch (error) {
      throw layerFault('copy', path, error);
    }
  }

  #make(from: string, to: string, info: BigIntStats): void {
    if (info.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else if (info.isFile()) copyFileSync(from, to, constants.COPYFILE_FICLONE);
    else this.#files.mknod(to, Number(info.mode), info.rdev);
  }

  #describe(path: string, info: BigIntStats): void {
    const from = join(this.#job.from, path);
    const to = join(this.#job.to, path);
    lchownSync(to, Number(info.uid), Number(info.gid));
    for (const name of this.#files.listXattrs(from)) {
      const value = this.#files.getXattr(from, name);
      if (value !== null) this.#files.setXattr(to, name, value);
    }
    if (!info.isSymbolicLink()) chmodSync(to, Number(info.mode & 0o7777n));
    this.#files.setTimes(to, info.atimeNs, info.mtimeNs);
  }
}
