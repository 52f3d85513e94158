/**
 * What a writable tree has changed, by the facts that Docker goes by: kind and mode, owner, device numbers, kept extended
 * attributes, and for all but directories size and time of modification. A directory in which something has changed has
 * changed itself.
 */
import type { BigIntStats } from 'node:fs';
import type { XattrCalls } from '../tree/layer-attributes.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import type { Difference, DifferenceSource } from '../job.ts';
import { isOpaque, isWhiteout, layerXattrs } from '../tree/layer-attributes.ts';
import { LowerDirectory } from '../tree/lower-directory.ts';
import { Scaffold } from '../tree/scaffold.ts';
import type { ByteString } from '../tar/entry.ts';
import { inodeOf } from '../tar/stream.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { inside } from '../tree/walks.ts';

/** What a comparison finds. */
export interface Comparison {
  /** By path, parents before children. */
  readonly differences: readonly Difference[];
  /** Files with several names that have not changed: inode → a name. */
  readonly unchangedLinks: ReadonlyMap<string, ByteString>;
  readonly apart: Apart;
}

/** How a tree differs from what its layer, unpacked onto the parent, would be. */
export interface Apart {
  /** The engine's own, children before parents. */
  readonly ours: readonly ByteString[];
  /** Whole trees: directories that have not changed but for their times, with those that the parent has. */
  readonly touched: ReadonlyMap<ByteString, bigint>;
  /** A directory is a file system, or a subvolume, of its own. */
  readonly isSplit: boolean;
}

/** Compares a tree with its parents. The tree may change meanwhile. */
export function compareTrees(source: DifferenceSource, files: XattrCalls, control: JobControl): Comparison {
  return new Comparing(source, files, control).run();
}

class Comparing {
  readonly #source: DifferenceSource;
  readonly #files: XattrCalls;
  readonly #control: JobControl;
  readonly #scaffold: Scaffold;
  readonly #unchangedLinks = new Map<string, ByteString>();
  readonly #ours: ByteString[] = [];
  readonly #touched = new Map<ByteString, bigint>();
  #device = 0n;
  #isSplit = false;

  constructor(source: DifferenceSource, files: XattrCalls, control: JobControl) {
    this.#source = source;
    this.#files = files;
    this.#control = control;
    this.#scaffold = new Scaffold(source.scaffold);
  }

  run(): Comparison {
    const { root, parents, form } = this.#source;
    using top = HeldDirectory.open(root);
    this.#device = top.lstat('.')?.dev ?? 0n;
    using lower = new LowerDirectory(
      this.#files,
      parents.map((path) => Buffer.from(path)),
    );
    const differences = this.#directory(top, { lower, isWhole: form === 'tree' }, '').differences;
    const apart = { ours: this.#ours, touched: this.#touched, isSplit: this.#isSplit };
    return { differences, unchangedLinks: this.#unchangedLinks, apart };
  }

  /** `holdsOurs`: something of the engine's own was passed over. */
  #directory(directory: HeldDirectory, below: Below, path: ByteString): Inside {
    const differences: Difference[] = [];
    let holdsOurs = false;
    const names = directory.names();
    const gone = below.isWhole && below.lower !== null ? below.lower.names() : [];
    for (const base of [...new Set([...names, ...gone])].sort()) {
      if (this.#control.isCancelled()) throw new Cancelled();
      const found = this.#entry(directory, below, { base, path: inside(path, base) });
      holdsOurs ||= found.holdsOurs;
      // Not by spreading: a directory may have more entries than a call takes arguments.
      for (const difference of found.differences) differences.push(difference);
    }
    return { differences, holdsOurs };
  }

  #entry(directory: HeldDirectory, { lower, isWhole }: Below, { base, path }: Name): Inside {
    const before = lower?.lookUp(base) ?? null;
    using inLower = before?.inside ?? null;
    const info = directory.lstat(base);
    if (info === null || isWhiteout(info)) {
      // In overlayfs's form what is not there was not touched.
      const isGone = before !== null && (info !== null || isWhole);
      return isGone ? just({ path, kind: 'deleted' }) : NOTHING;
    }
    const place = directory.place(base);
    const isNew = before === null;
    const isChanged = isNew || !this.#isSame(before, { place, info });
    if (info.isDirectory()) {
      using child = directory.openDirectory(base);
      if (child === null) return NOTHING;
      this.#isSplit ||= info.dev !== this.#device;
      const hidesParents = isWhole || isOpaque(this.#files, child.place('.'), path);
      const within = this.#directory(child, { lower: inLower, isWhole: hidesParents }, path);
      const isOurs = isNew && this.#isOurs(path, info, within, child);
      if (isOurs) return this.#passOver(path);
      if (!isChanged && within.differences.length === 0) {
        if (isWhole && before.info.mtimeNs !== info.mtimeNs) this.#touched.set(path, before.info.mtimeNs);
        return { differences: [], holdsOurs: within.holdsOurs };
      }
      return { differences: [{ path, kind: isNew ? 'added' : 'modified' }, ...within.differences], holdsOurs: false };
    }
    if (isNew && this.#scaffold.has(path, info)) return this.#passOver(path);
    if (isChanged) return just({ path, kind: isNew ? 'added' : 'modified' });
    if (info.nlink > 1n) this.#unchangedLinks.set(inodeOf(info), path);
    return NOTHING;
  }

  #passOver(path: ByteString): Inside {
    this.#ours.push(path);
    return { differences: [], holdsOurs: true };
  }

  /** A directory that was made by the engine, or for what the engine has put into it. */
  #isOurs(path: ByteString, info: BigIntStats, within: Inside, directory: HeldDirectory): boolean {
    if (within.differences.length > 0) return false;
    if (this.#scaffold.has(path, info)) return within.holdsOurs || directory.names().length === 0;
    return this.#scaffold.isAbove(path) && within.holdsOurs;
  }

  #isSame(a: Seen, b: Seen): boolean {
    if (a.info.mode !== b.info.mode || a.info.uid !== b.info.uid || a.info.gid !== b.info.gid) return false;
    if (a.info.rdev !== b.info.rdev) return false;
    if (!a.info.isDirectory() && (a.info.size !== b.info.size || a.info.mtimeNs !== b.info.mtimeNs)) return false;
    const [left, right] = [layerXattrs(this.#files, a.place), layerXattrs(this.#files, b.place)];
    return left.size === right.size && [...left].every(([name, value]) => right.get(name)?.equals(value) === true);
  }
}

interface Below {
  /** What the parents have here; null for nothing. */
  readonly lower: LowerDirectory | null;
  /** The tree shows all there is here: what it lacks is gone. */
  readonly isWhole: boolean;
}

interface Inside {
  readonly differences: readonly Difference[];
  readonly holdsOurs: boolean;
}

interface Name {
  readonly base: ByteString;
  readonly path: ByteString;
}

interface Seen {
  readonly place: Buffer;
  readonly info: BigIntStats;
}

const NOTHING: Inside = { differences: [], holdsOurs: false };

function just(difference: Difference): Inside {
  return { differences: [difference], holdsOurs: false };
}
