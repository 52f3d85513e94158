import {
  closeSync,
  constants,
  copyFileSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import { fillWithHoles, hasHoles } from '../tree/file-holes.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import type { CopyJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import type { ByteString } from '../tar/entry.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

const PRIVATE_MODE = 0o700;
const BUFFER_BYTES = 1024 * 1024;

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
  /** Files with several names: device (each subvolume of Btrfs has its own) and inode → the first copy. */
  readonly #linked = new Map<string, ByteString>();
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** The file system may share content among files. */
  #clones = true;

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
      const identity = `${String(info.dev)}:${String(info.ino)}`;
      const first = info.nlink > 1n ? this.#linked.get(identity) : undefined;
      if (info.isDirectory()) {
        this.#target.mkdir(path, PRIVATE_MODE);
        this.#directory(path, info);
      } else if (first !== undefined) {
        this.#target.link(first, path);
      } else {
        this.#make(path, info);
        if (info.nlink > 1n) this.#linked.set(identity, path);
        this.#describe(path, info);
      }
    } catch (error) {
      throw layerFault('copy', path, error);
    }
  }

  #make(path: ByteString, info: BigIntStats): void {
    const from = this.#from(path);
    if (info.isSymbolicLink()) this.#target.symlink(readlinkSync(from, { encoding: 'latin1' }), path);
    else if (info.isFile()) this.#copyFile(from, path, info);
    else this.#target.mknod(path, Number(info.mode), this.#files.splitDevice(info.rdev));
  }

  #describe(path: ByteString, info: BigIntStats): void {
    // What is made here is root's.
    if (info.uid !== 0n || info.gid !== 0n) this.#target.chown(path, Number(info.uid), Number(info.gid));
    for (const [name, value] of this.#xattrs(path)) this.#target.setXattr(path, name, value);
    if (!info.isSymbolicLink()) this.#target.chmod(path, Number(info.mode & 0o7777n));
    this.#target.setModified(path, info.mtimeNs);
  }

  #xattrs(path: ByteString): readonly (readonly [string, Buffer])[] {
    const place = this.#from(path);
    const found: [string, Buffer][] = [];
    for (const name of this.#files.listXattrs(place)) {
      const value = this.#files.getXattr(place, name);
      if (value !== null) found.push([name, value]);
    }
    return found;
  }

  #from(path: ByteString): Buffer {
    return bytesOf(this.#job.from, path);
  }

  #copyFile(from: Buffer, path: ByteString, info: BigIntStats): void {
    if (this.#clones && this.#clone(from, bytesOf(this.#job.to, path))) return;
    const source = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const target = this.#target.create(path);
      try {
        // A file of holes, filled with zeros, could be larger than the disk.
        if (hasHoles(info)) fillWithHoles(this.#files, source, { target, size: Number(info.size) });
        else this.#copyBytes(source, target);
      } finally {
        closeSync(target);
      }
    } finally {
      closeSync(source);
    }
  }

  /** Not by Node's copying, which truncates what is empty: ext4 then writes each file out when it is closed. */
  #copyBytes(source: number, target: number): void {
    for (let read = readSync(source, this.#buffer); read > 0; read = readSync(source, this.#buffer)) {
      for (let done = 0; done < read;) done += writeSync(target, this.#buffer, done, read - done);
    }
  }

  /** False when the file system cannot, which is not asked again, or not this file. */
  #clone(from: Buffer, to: Buffer): boolean {
    try {
      copyFileSync(from, to, constants.COPYFILE_FICLONE_FORCE);
      return true;
    } catch (error) {
      const code = errnoCodeOf(error) ?? '';
      if (code !== 'EINVAL') this.#clones = false;
      if (!['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EINVAL', 'EXDEV'].includes(code)) throw error;
      rmSync(to, { force: true });
      return false;
    }
  }
}

/** A path for Node's calls, which take bytes. */
function bytesOf(root: string, path: ByteString): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}
