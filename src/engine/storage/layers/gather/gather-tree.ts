import { closeSync, constants, copyFileSync, fstatSync, readlinkSync, type BigIntStats } from 'node:fs';
import { DiskGuard } from '../../disk-guard.ts';
import { EngineError, ForbiddenError } from '../../../../base/errors.ts';
import { PathPatterns, type PatternFindings } from '../../../dockerfile/patterns.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import { layerFault } from '../layer-fault.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import { parentOf } from '../tar/path.ts';
import { inodeOf } from '../tar/stream.ts';
import type { LayerTools } from '../tools.ts';
import { fillWithHoles, hasHoles } from '../tree/file-holes.ts';
import { HeldDirectory, openFile, unlessGone } from '../tree/held-directory.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import { layerXattrs } from '../tree/layer-attributes.ts';
import { inside } from '../tree/walks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import type { GatherJob } from './jobs.ts';

/** PATH_MAX: as deep as anybody can name. */
const MOST_PATH_BYTES = 4096;
const OWNER_SHIFT = 6n;

/** Copies a directory that others may write to meanwhile, as far as the patterns let it. */
export function gatherTree(job: GatherJob, { files }: LayerTools, control: JobControl): null {
  using source = HeldDirectory.open(job.from);
  using target = new JailedTree(job.root, files);
  new Gathering(job, { files, target, control }).directory(source, '', null);
  return null;
}

class Gathering {
  readonly #reader: number | null;
  readonly #patterns: PathPatterns;
  readonly #files: FileCalls;
  readonly #target: JailedTree;
  readonly #control: JobControl;
  readonly #guard: DiskGuard;
  /** Files with several names: device and inode → the first copy. */
  readonly #linked = new Map<string, ByteString>();

  constructor(
    { root, excludes, reader }: GatherJob,
    means: { readonly files: FileCalls; readonly target: JailedTree; readonly control: JobControl },
  ) {
    this.#reader = reader;
    this.#patterns = new PathPatterns(excludes);
    this.#files = means.files;
    this.#target = means.target;
    this.#control = means.control;
    this.#guard = new DiskGuard(root);
  }

  directory(from: HeldDirectory, path: ByteString, above: PatternFindings | null): void {
    for (const base of from.names()) {
      if (this.#control.isCancelled()) throw new Cancelled();
      const name = inside(path, base);
      const info = from.lstat(base);
      if (info === null) continue;
      const found = this.#patterns.look(readable(name), above);
      try {
        if (info.isDirectory()) this.#below(from, base, { name, info, found });
        else if (!found.isMatched) this.#one(from.place(base), name, info);
      } catch (error) {
        throw error instanceof EngineError ? error : layerFault('copy', name, error);
      }
    }
  }

  #below(
    from: HeldDirectory,
    base: ByteString,
    { name, info, found }: { readonly name: ByteString; readonly info: BigIntStats; readonly found: PatternFindings },
  ): void {
    if (found.isMatched && !this.#patterns.mayHoldExceptions(readable(name))) return;
    if (name.length > MOST_PATH_BYTES) throw Object.assign(new Error('too deep'), { code: 'ENAMETOOLONG' });
    this.#checkReader(name, info);
    using child = from.openDirectory(base);
    if (child === null) return;
    if (!found.isMatched) this.#target.ensureDirectory(name);
    this.directory(child, name, found);
    // Without one of its own it comes with what is in it only.
    if (!found.isMatched || this.#target.lstat(name) !== null) this.#describe(name, child.place('.'), info);
  }

  #one(place: Buffer, name: ByteString, info: BigIntStats): void {
    this.#target.ensureDirectory(parentOf(name));
    const first = info.nlink > 1n ? this.#linked.get(inodeOf(info)) : undefined;
    if (first !== undefined) {
      this.#target.link(first, name);
    } else if (info.isFile()) {
      this.#file(place, name);
    } else if (info.isSymbolicLink()) {
      const to = unlessGone(() => readlinkSync(place, { encoding: 'latin1' }));
      if (to === null) return;
      this.#target.symlink(to, name);
      this.#describe(name, place, info);
    } else if (!info.isSocket()) {
      this.#target.mknod(name, Number(info.mode), this.#files.splitDevice(info.rdev));
      this.#describe(name, place, info);
    }
  }

  #file(place: Buffer, name: ByteString): void {
    const fd = openFile(place);
    if (fd === null) return;
    try {
      // Asked again: another file may have taken the name.
      const info = fstatSync(fd, { bigint: true });
      if (!info.isFile()) return;
      this.#checkReader(name, info);
      this.#guard.take(Number(info.size));
      this.#content(fd, name, info);
      if (info.nlink > 1n) this.#linked.set(inodeOf(info), name);
      this.#describe(name, placeOf(fd), info);
    } finally {
      closeSync(fd);
    }
  }

  #content(fd: number, name: ByteString, info: BigIntStats): void {
    const target = this.#target.create(name);
    try {
      // Through their descriptors: nobody can put other files there.
      if (hasHoles(info)) fillWithHoles(this.#files, fd, { target, size: Number(info.size) });
      else copyFileSync(placeOf(fd), placeOf(target), constants.COPYFILE_FICLONE);
    } finally {
      closeSync(target);
    }
  }

  #describe(name: ByteString, place: Buffer, info: BigIntStats): void {
    this.#target.chown(name, 0, 0);
    for (const [key, value] of layerXattrs(this.#files, place)) this.#target.setXattr(name, key, value);
    if (!info.isSymbolicLink()) this.#target.chmod(name, Number(info.mode & 0o7777n));
    this.#target.setModified(name, info.mtimeNs);
  }

  /** The CLI, which reads as its user, fails in these words. */
  #checkReader(name: ByteString, { uid, mode }: BigIntStats): void {
    const reader = this.#reader;
    if (reader === null || reader === 0) return;
    const bits = (uid === BigInt(reader) ? mode >> OWNER_SHIFT : mode) & 0o4n;
    if (bits === 0n) throw new ForbiddenError(`no permission to read from '${readable(name)}'`);
  }
}

function placeOf(fd: number): Buffer {
  return Buffer.from(`/proc/self/fd/${String(fd)}`);
}
