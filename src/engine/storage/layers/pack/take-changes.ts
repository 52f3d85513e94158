import { closeSync, constants, copyFileSync, fstatSync, readlinkSync, type BigIntStats } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import { copyHoles, hasHoles } from '../tree/file-holes.ts';
import { openFile, unlessGone } from '../tree/held-directory.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import type { TakeJob } from '../job.ts';
import { checkContentIsHere, layerXattrs, OPAQUE_XATTR } from '../tree/layer-attributes.ts';
import type { ByteString } from '../tar/entry.ts';
import { inodeOf } from '../tar/stream.ts';
import type { JobControl } from '../unpack/unpack-blob.ts';
import { walkUpper, type UpperEntry, type UpperVisitor } from './walk-upper.ts';

const PRIVATE_MODE = 0o700;

/**
 * Copies what a writable directory of overlayfs holds into an empty one that becomes a layer: as it would be if the
 * layer had been pulled. Contents are shared where the file system can (reflinks), never by hard links, since the container
 * goes on writing to its own.
 */
export function takeChanges(job: TakeJob, files: FileCalls, control: JobControl): void {
  using taking = new Taking(job.to, files);
  walkUpper({ root: job.from, parents: job.parents, scaffold: job.scaffold }, taking, files, control);
}

class Taking implements UpperVisitor, Disposable {
  readonly #to: string;
  readonly #files: FileCalls;
  readonly #target: JailedTree;
  /** Files with several names: inode → the first copy. */
  readonly #linked = new Map<string, ByteString>();

  constructor(to: string, files: FileCalls) {
    this.#to = to;
    this.#files = files;
    this.#target = new JailedTree(to, files);
  }

  [Symbol.dispose](): void {
    this.#target[Symbol.dispose]();
  }

  whiteout({ path, info }: UpperEntry): void {
    this.#target.mknod(path, Number(info.mode), { major: 0, minor: 0 });
  }

  ours(): void {
    // Stays where it is.
  }

  enter({ path }: UpperEntry): void {
    this.#target.mkdir(path, PRIVATE_MODE);
  }

  drop({ path }: UpperEntry): void {
    this.#target.remove(path);
  }

  leave({ path, place, info }: UpperEntry, isOpaque: boolean): void {
    this.#describe(path, place, info);
    if (isOpaque) this.#target.setXattr(path, OPAQUE_XATTR, Buffer.from('y'));
    this.#target.setModified(path, info.mtimeNs);
  }

  node({ path, place, info }: UpperEntry): void {
    const first = info.nlink > 1n ? this.#linked.get(inodeOf(info)) : undefined;
    if (first !== undefined) {
      this.#target.link(first, path);
      return;
    }
    if (info.isSymbolicLink()) {
      const target = unlessGone(() => readlinkSync(place, { encoding: 'latin1' }));
      if (target === null) return;
      this.#target.symlink(target, path);
    } else if (info.isFile()) {
      this.#file(path, place);
      return;
    } else if (info.isSocket()) {
      return;
    } else {
      this.#target.mknod(path, Number(info.mode), this.#files.splitDevice(info.rdev));
    }
    if (info.nlink > 1n) this.#linked.set(inodeOf(info), path);
    this.#describe(path, place, info);
    this.#target.setModified(path, info.mtimeNs);
  }

  #file(path: ByteString, place: Buffer): void {
    checkContentIsHere(this.#files, place, path);
    const fd = openFile(place);
    if (fd === null) return;
    try {
      // Asked again: another file may have taken the name.
      const info = fstatSync(fd, { bigint: true });
      if (!info.isFile()) return;
      const to = Buffer.concat([Buffer.from(`${this.#to}/`), Buffer.from(path, 'latin1')]);
      // A file of holes, filled with zeros, could be larger than the disk.
      if (hasHoles(info)) copyHoles(this.#files, fd, to, Number(info.size));
      else copyFileSync(`/proc/self/fd/${String(fd)}`, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
      if (info.nlink > 1n) this.#linked.set(inodeOf(info), path);
      this.#describe(path, place, info);
      this.#target.setModified(path, info.mtimeNs);
    } finally {
      closeSync(fd);
    }
  }

  /** Owner, attributes and mode: in this order, since chown drops set-id bits and capabilities. */
  #describe(path: ByteString, place: Buffer, info: BigIntStats): void {
    this.#target.chown(path, Number(info.uid), Number(info.gid));
    for (const [name, value] of layerXattrs(this.#files, place)) this.#target.setXattr(path, name, value);
    if (!info.isSymbolicLink()) this.#target.chmod(path, Number(info.mode & 0o7777n));
  }
}
