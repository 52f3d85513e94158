import { type BigIntStats } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import { layerFault } from '../layer-fault.ts';
import type { ByteString } from '../tar/entry.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import { checkName, isOpaque, isWhiteout } from '../tree/layer-attributes.ts';
import { LowerDirectory } from '../tree/lower-directory.ts';
import { Scaffold } from '../tree/scaffold.ts';
import { inside } from '../tree/walks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

/** Deeper than any path that a program can name at once (PATH_MAX); a descriptor is held for each level. */
const MAX_DEPTH = 2048;

/** Something in a writable directory of overlayfs. */
export interface UpperEntry {
  readonly path: ByteString;
  /** A path for system calls, good until the next entry. */
  readonly place: Buffer;
  readonly info: BigIntStats;
}

/** What is done with each thing that a writable directory of overlayfs holds. */
export interface UpperVisitor {
  /** The mark of something that is gone. */
  whiteout(entry: UpperEntry): void;
  /** A change of any kind but a directory. */
  node(entry: UpperEntry): void;
  /** The engine's own, and no directory. */
  ours(entry: UpperEntry): void;
  /** A directory, before what is in it. */
  enter(entry: UpperEntry): void;
  /** After what is in it: it was the engine's own, and so was all in it. */
  drop(entry: UpperEntry): void;
  /** After what is in it: a change. `place` is that of the directory itself. */
  leave(entry: UpperEntry, isOpaque: boolean): void;
}

/** What {@link walkUpper} walks. */
export interface UpperSource {
  readonly root: string;
  /** The parents' own directories, nearest first. */
  readonly parents: readonly string[];
  readonly scaffold: readonly string[];
}

/** Tells what is a change from what is the engine's own. The container may run: see {@link HeldDirectory}. */
export function walkUpper(source: UpperSource, visitor: UpperVisitor, files: FileCalls, control: JobControl): void {
  using top = HeldDirectory.open(source.root);
  using lower = new LowerDirectory(
    files,
    source.parents.map((path) => Buffer.from(path)),
  );
  new UpperWalk(new Scaffold(source.scaffold), visitor, files, control).content(top, '', { lower, depth: 0 });
}

class UpperWalk {
  readonly #scaffold: Scaffold;
  readonly #visitor: UpperVisitor;
  readonly #files: FileCalls;
  readonly #control: JobControl;

  constructor(scaffold: Scaffold, visitor: UpperVisitor, files: FileCalls, control: JobControl) {
    this.#scaffold = scaffold;
    this.#visitor = visitor;
    this.#files = files;
    this.#control = control;
  }

  content(directory: HeldDirectory, path: ByteString, at: Place): Content {
    if (at.depth > MAX_DEPTH) throw layerFault('open', path, Object.assign(new Error(), { code: 'ENAMETOOLONG' }));
    let holdsOurs = false;
    let holdsChanges = false;
    for (const base of directory.names()) {
      if (this.#control.isCancelled()) throw new Cancelled();
      const info = directory.lstat(base);
      if (info === null) continue;
      const entry: Named = { path: inside(path, base), base, place: directory.place(base), info };
      if (this.#entry(directory, entry, at)) holdsChanges = true;
      else holdsOurs = true;
    }
    return { holdsOurs, holdsChanges };
  }

  /** False for what is the engine's own. */
  #entry(directory: HeldDirectory, entry: Named, at: Place): boolean {
    const { path, base, info } = entry;
    if (isWhiteout(info)) {
      this.#at('mknod', path, () => this.#visitor.whiteout(entry));
      return true;
    }
    checkName(base, path);
    const isOurs = this.#scaffold.has(path, info) && !this.#isBelow(at, base);
    if (info.isDirectory()) return this.#directory(directory, entry, { ...at, isOurs });
    if (isOurs) this.#at('unlink', path, () => this.#visitor.ours(entry));
    else this.#at('copy', path, () => this.#visitor.node(entry));
    return !isOurs;
  }

  #directory(parent: HeldDirectory, entry: Named, at: Place & { readonly isOurs: boolean }): boolean {
    const { path, base, info } = entry;
    using directory = parent.openDirectory(base);
    if (directory === null) return true;
    const place = directory.place('.');
    const opaque = this.#at('getxattr', path, () => isOpaque(this.#files, place, path));
    const below = at.lower?.lookUp(base) ?? null;
    using lower = below?.inside ?? null;
    this.#at('mkdir', path, () => this.#visitor.enter(entry));
    const content = this.content(directory, path, { lower, depth: at.depth + 1 });
    const holdsOursAlone = content.holdsOurs && !content.holdsChanges;
    const isEmpty = at.isOurs && !content.holdsOurs && !content.holdsChanges;
    const isUntouched = below === null || (!opaque && isAlike(below.info, info));
    if (isEmpty || (holdsOursAlone && (at.isOurs || (this.#scaffold.isAbove(path) && isUntouched)))) {
      this.#at('rmdir', path, () => this.#visitor.drop(entry));
      return false;
    }
    this.#at('copy', path, () => this.#visitor.leave({ path, place, info }, opaque));
    return true;
  }

  #isBelow({ lower }: Place, base: ByteString): boolean {
    const found = lower?.lookUp(base) ?? null;
    found?.inside?.[Symbol.dispose]();
    return found !== null;
  }

  #at<T>(call: string, path: ByteString, step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw layerFault(call, path, error);
    }
  }
}

interface Named extends UpperEntry {
  readonly base: ByteString;
}

interface Content {
  /** Something that is the engine's own. */
  readonly holdsOurs: boolean;
  /** Anything else. */
  readonly holdsChanges: boolean;
}

interface Place {
  /** What the parents have here; null for nothing. */
  readonly lower: LowerDirectory | null;
  readonly depth: number;
}

function isAlike(a: BigIntStats, b: BigIntStats): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}
