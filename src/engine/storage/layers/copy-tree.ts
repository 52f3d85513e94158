import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  unlinkSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';
import type { DataExtent, FileCalls } from '../../kernel/files.ts';
import { JailedTree } from './jailed-tree.ts';
import type { CopyJob } from './job.ts';
import { layerFault } from './layer-fault.ts';
import type { ByteString } from './tar-entry.ts';
import { Cancelled, type JobControl } from './unpack-blob.ts';

/** The unit of `blocks` in stat(2), whatever the file system's own is. */
const STAT_BLOCK_BYTES = 512n;
const COPY_BYTES = 256 * 1024;
const PRIVATE_MODE = 0o700;

/**
 * Copies everything below one directory into another empty one: contents (shared where the file system can), hard
 * links among the files, owners, modes, extended attributes, device nodes, times. Nobody writes to either meanwhile.
 */
export function copyTree(job: CopyJob, files: FileCalls, control: JobControl): void {
  using copy = new TreeCopy(job, files, control);
  copy.run();
}

class TreeCopy implements Disposable {
  readonly #job: CopyJob;
  readonly #files: FileCalls;
  readonly #control: JobControl;
  readonly #target: JailedTree;
  /** Files with several names: inode → the first copy. */
  readonly #linked = new Map<bigint, ByteString>();

  constructor(job: CopyJob, files: FileCalls, control: JobControl) {
    this.#job = job;
    this.#files = files;
    this.#control = control;
    this.#target = new JailedTree(job.to, files);
  }

  run(): void {
    this.#directory('', lstatSync(this.#job.from, { bigint: true }));
  }

  [Symbol.dispose](): void {
    this.#target[Symbol.dispose]();
  }

  /** Recursion is as deep as the tree; PATH_MAX bounds it. */
  #directory(path: ByteString, info: BigIntStats): void {
    for (const name of readdirSync(this.#from(path), { encoding: 'latin1' })) {
      if (this.#control.isCancelled()) throw new Cancelled();
      this.#entry(path === '' ? name : `${path}/${name}`);
    }
    this.#describe(path, info);
  }

  #entry(path: ByteString): void {
    try {
      const info = lstatSync(this.#from(path), { bigint: true });
      const first = info.nlink > 1n ? this.#linked.get(info.ino) : undefined;
      if (info.isDirectory()) {
        this.#target.mkdir(path, PRIVATE_MODE);
        this.#directory(path, info);
      } else if (first !== undefined) {
        this.#target.link(first, path);
      } else {
        this.#make(path, info);
        if (info.nlink > 1n) this.#linked.set(info.ino, path);
        this.#describe(path, info);
      }
    } catch (error) {
      throw layerFault('copy', path, error);
    }
  }

  #make(path: ByteString, info: BigIntStats): void {
    const from = this.#from(path);
    if (info.isSymbolicLink()) this.#target.symlink(readlinkSync(from, { encoding: 'latin1' }), path);
    else if (info.isFile()) this.#copyFile(from, bytesOf(this.#job.to, path), info);
    else this.#target.mknod(path, Number(info.mode), this.#files.splitDevice(info.rdev));
  }

  #describe(path: ByteString, info: BigIntStats): void {
    this.#target.chown(path, Number(info.uid), Number(info.gid));
    for (const [name, value] of this.#xattrs(path)) this.#target.setXattr(path, name, value);
    if (!info.isSymbolicLink()) this.#target.chmod(path, Number(info.mode & 0o7777n));
    this.#target.setModified(path, info.mtimeNs);
  }

  #xattrs(path: ByteString): readonly (readonly [string, Buffer])[] {
    const place = this.#from(path);
    if (isUtf8(place)) return this.#xattrsAt(place.toString('utf8'));
    // The calls take text: a name that is none is read through another name of the same file. Directories have only one.
    if (lstatSync(place).isDirectory()) return this.#directoryXattrs(place);
    const alias = join(this.#job.to, `.moored-${randomUUID()}`);
    linkSync(place, alias);
    try {
      return this.#xattrsAt(alias);
    } finally {
      unlinkSync(alias);
    }
  }

  #directoryXattrs(place: Buffer): readonly (readonly [string, Buffer])[] {
    const fd = openSync(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      return this.#xattrsAt(`/proc/self/fd/${String(fd)}/.`);
    } finally {
      closeSync(fd);
    }
  }

  #xattrsAt(path: string): readonly (readonly [string, Buffer])[] {
    const found: [string, Buffer][] = [];
    for (const name of this.#files.listXattrs(path)) {
      const value = this.#files.getXattr(path, name);
      if (value !== null) found.push([name, value]);
    }
    return found;
  }

  #from(path: ByteString): Buffer {
    return bytesOf(this.#job.from, path);
  }

  #copyFile(from: Buffer, to: Buffer, info: BigIntStats): void {
    // A file of holes, filled with zeros, could be larger than the disk.
    if (info.blocks * STAT_BLOCK_BYTES < info.size) this.#copyExtents(from, to, Number(info.size));
    else copyFileSync(from, to, constants.COPYFILE_FICLONE);
  }

  #copyExtents(from: Buffer, to: Buffer, size: number): void {
    const source = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const target = openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      try {
        ftruncateSync(target, size);
        for (
          let extent = this.#files.nextData(source, 0);
          extent !== null;
          extent = this.#files.nextData(source, extent.end)
        ) {
          copyRange(source, target, extent);
        }
      } finally {
        closeSync(target);
      }
    } finally {
      closeSync(source);
    }
  }
}

/** A path for Node's calls, which take bytes. */
function bytesOf(root: string, path: ByteString): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}

function copyRange(source: number, target: number, { start, end }: DataExtent): void {
  const buffer = Buffer.allocUnsafe(Math.min(end - start, COPY_BYTES));
  for (let position = start; position < end;) {
    const read = readSync(source, buffer, 0, Math.min(buffer.length, end - position), position);
    if (read === 0) return;
    for (let done = 0; done < read;) done += writeSync(target, buffer, done, read - done, position + done);
    position += read;
  }
}
