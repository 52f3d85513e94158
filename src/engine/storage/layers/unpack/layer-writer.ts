/**
 * Writes a layer's archive into a directory, in one of two forms: the layer alone, as overlayfs keeps it (`overlay`),
 * or into the whole tree of its parents (`tree`), where whiteouts delete; or an archive that is no layer (`plain`).
 *
 * The rules are dockerd's: later members replace earlier ones unless both are directories; missing parent directories
 * are made 0755; extended attributes that the file system does not take are left out with a warning; directories get
 * their times last.
 */
import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { InvalidArgumentError } from '../../../../base/errors.ts';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { UnpackJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import { readable, type ByteString, type TarEntry, type TarSink } from '../tar/entry.ts';
import { confine, parentOf } from '../tar/path.ts';
import { OPAQUE_XATTR } from '../tree/layer-attributes.ts';
import type { LayerTree, TreeNode } from '../tree/tree.ts';
import { whiteoutOf } from '../tree/whiteouts.ts';

/** Thrown when a hard link names a file that only a parent layer can have. */
export class NeedsParents extends Error {}

/** With these an archive could steer overlayfs itself: redirect a directory, or borrow another file's content. */
const OVERLAY_XATTRS = ['trusted.overlay.', 'user.overlay.'];
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const NO_WHITEOUT = { kind: 'none' } as const;
const NO_DEVICE = { major: 0, minor: 0 };
/** No program can name a deeper path at once (PATH_MAX), and each step down costs a descriptor and a look-up. */
const MAX_DEPTH = 2048;
/** More warnings than anybody reads. */
const MAX_WARNINGS = 20;

export class LayerWriter implements TarSink {
  readonly #tree: LayerTree;
  readonly #form: UnpackJob['form'];
  readonly #directoryTimes = new Map<ByteString, bigint>();
  /** What this layer brought, where whiteouts must tell it from what was there; `tree` only. */
  readonly #brought = new Set<ByteString>();
  readonly #warnings: string[] = [];
  #sizeBytes = 0;
  #file: { readonly fd: number; readonly path: ByteString; readonly entry: TarEntry } | null = null;

  constructor(tree: LayerTree, form: UnpackJob['form']) {
    this.#tree = tree;
    this.#form = form;
  }

  /** Bytes of this layer as Docker counts them: files, and with overlay2 the targets of symlinks. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  entry(entry: TarEntry): void {
    const path = confine(entry.name);
    if (isTooDeep(path)) throw tooDeep(path, entry);
    const whiteout = this.#form === 'plain' ? NO_WHITEOUT : whiteoutOf(path);
    switch (whiteout.kind) {
      case 'ignored':
        return;
      case 'opaque':
        this.#at('mkdir', whiteout.directory, () => this.#makeOpaque(whiteout.directory));
        return;
      case 'gone':
        this.#at('mknod', whiteout.path, () => this.#makeGone(whiteout.path));
        return;
      case 'none':
        this.#write(path, entry);
    }
  }

  data(chunk: Buffer, position: number): void {
    const file = this.#file;
    if (file === null) return;
    this.#at('write', file.path, () => {
      for (let done = 0; done < chunk.length;)
        done += writeSync(file.fd, chunk, done, chunk.length - done, position + done);
    });
  }

  end(): void {
    const file = this.#file;
    if (file === null) return;
    this.#file = null;
    this.#at('write', file.path, () => {
      try {
        // Sets the size of a file that ends in a hole.
        if (file.entry.sparse !== null) ftruncateSync(file.fd, file.entry.sizeBytes);
      } finally {
        closeSync(file.fd);
      }
    });
    this.#sizeBytes += file.entry.sizeBytes;
    this.#describe(file.path, file.entry);
  }

  /** The archive is complete: directories get their times, which writing into them has changed. */
  finish(): void {
    for (const [path, mtimeNs] of this.#directoryTimes) {
      this.#at('chtimes', path, () => {
        if (path === '' || this.#tree.lstat(path)?.type === 'directory') this.#tree.setModified(path, mtimeNs);
      });
    }
  }

  /** Closes what a failure left open. */
  abandon(): void {
    if (this.#file !== null) closeSync(this.#file.fd);
    this.#file = null;
  }

  #write(path: ByteString, entry: TarEntry): void {
    if (path === '') {
      if (entry.type !== 'directory')
        throw new InvalidArgumentError(`${JSON.stringify(readable(entry.name))} is not a directory`);
      this.#describe('', entry);
      return;
    }
    this.#ensureDirectory(parentOf(path), { call: callOf(entry), path });
    const existing = this.#at('lstat', path, () => this.#tree.lstat(path));
    const merges = existing?.type === 'directory' && entry.type === 'directory';
    // A hard link to itself would delete its only name.
    if (entry.type === 'hardlink' && confine(entry.linkName) === path && existing !== null) return;
    if (existing !== null && !merges) this.#replace(path, existing);
    if (this.#form === 'tree') this.#bring(path);
    this.#make(path, entry, existing);
  }

  #make(path: ByteString, entry: TarEntry, existing: TreeNode | null): void {
    switch (entry.type) {
      case 'directory':
        if (existing?.type !== 'directory') this.#at('mkdir', path, () => this.#tree.mkdir(path, entry.mode));
        // A layer's directory has its own attributes; overlayfs would show no others.
        else if (this.#form === 'tree') this.#at('lremovexattr', path, () => this.#tree.clearXattrs(path));
        // It took the place of a whiteout: what the parents have below stays gone.
        if (existing?.type === 'whiteout' && this.#form === 'overlay') this.#markOpaque(path);
        break;
      case 'file':
        this.#file = { fd: this.#at('open', path, () => this.#tree.create(path)), path, entry };
        return;
      case 'hardlink':
        this.#link(path, entry);
        return;
      case 'symlink':
        this.#at(callOf(entry), path, () => this.#tree.symlink(entry.linkName, path));
        if (this.#form === 'overlay') this.#sizeBytes += entry.linkName.length;
        break;
      case 'character':
        this.#node(path, S_IFCHR, entry);
        break;
      case 'block':
        this.#node(path, S_IFBLK, entry);
        break;
      case 'fifo':
        this.#node(path, S_IFIFO, entry);
    }
    this.#describe(path, entry);
  }

  /** A file that came makes its directories come too: they must outlive a whiteout that follows. */
  #bring(path: ByteString): void {
    for (let each = path; each !== '' && !this.#brought.has(each); each = parentOf(each)) this.#brought.add(each);
  }

  #node(path: ByteString, kind: number, entry: TarEntry): void {
    const device = { major: entry.deviceMajor, minor: entry.deviceMinor };
    this.#at('mknod', path, () => this.#tree.mknod(path, kind | entry.mode, device));
  }

  #link(path: ByteString, entry: TarEntry): void {
    try {
      this.#tree.link(confine(entry.linkName), path);
    } catch (error) {
      const code = errnoCodeOf(error);
      if (this.#form === 'overlay' && (code === 'ENOENT' || code === 'ENOTDIR')) throw new NeedsParents();
      throw layerFault(callOf(entry), path, error);
    }
  }

  #replace(path: ByteString, existing: TreeNode): void {
    // Counted once too often otherwise; links to the same file are rare enough to be ignored.
    if (existing.type === 'file' || (existing.type === 'symlink' && this.#form === 'overlay')) {
      if (this.#form === 'overlay' || this.#brought.has(path)) this.#sizeBytes -= existing.sizeBytes;
    }
    this.#at('remove', path, () => this.#tree.remove(path));
  }

  /** Owner, attributes, mode and time: in this order, since chown drops set-id bits and capabilities. */
  #describe(path: ByteString, entry: TarEntry): void {
    this.#at('lchown', path, () => this.#tree.chown(path, entry.uid, entry.gid));
    for (const [name, value] of entry.xattrs) this.#setXattr(path, name, value);
    if (entry.type !== 'symlink') this.#at('chmod', path, () => this.#tree.chmod(path, entry.mode));
    if (entry.type === 'directory') this.#directoryTimes.set(path, entry.mtimeNs);
    else this.#at('chtimes', path, () => this.#tree.setModified(path, entry.mtimeNs));
  }

  #setXattr(path: ByteString, name: string, value: Buffer): void {
    if (OVERLAY_XATTRS.some((prefix) => name.startsWith(prefix))) {
      this.#warn(`extended attribute ${name} of /${readable(path)} was left out: it belongs to overlayfs`);
      return;
    }
    try {
      this.#tree.setXattr(path, name, value);
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'EPERM') throw layerFault('lsetxattr', path, error);
      this.#warn(`extended attribute ${name} of /${readable(path)} was left out: ${code}`);
    }
  }

  #makeOpaque(directory: ByteString): void {
    this.#ensureDirectory(directory);
    if (this.#form === 'overlay') this.#markOpaque(directory);
    else this.#removeForeign(directory);
  }

  #markOpaque(directory: ByteString): void {
    this.#at('lsetxattr', directory, () => this.#tree.setXattr(directory, OPAQUE_XATTR, Buffer.from('y')));
  }

  #makeGone(path: ByteString): void {
    const existing = this.#tree.lstat(path);
    if (this.#form === 'tree') {
      if (existing?.type === 'directory' && this.#brought.has(path)) this.#removeForeign(path);
      else if (existing !== null && !this.#brought.has(path)) this.#tree.remove(path);
      return;
    }
    if (existing === null) {
      if (this.#whiteoutAbove(path) !== null) return;
      this.#ensureDirectory(parentOf(path));
      this.#tree.mknod(path, S_IFCHR, NO_DEVICE);
    } else if (existing.type === 'directory') {
      this.#markOpaque(path);
    }
  }

  /** `blame`: the step that is named when it fails; dockerd finds out only then that a file stands in the way. */
  #ensureDirectory(path: ByteString, blame = { call: 'mkdir', path }): void {
    this.#at(blame.call, blame.path, () => {
      try {
        this.#tree.ensureDirectory(path);
      } catch (error) {
        const whiteout = errnoCodeOf(error) === 'ENOTDIR' ? this.#whiteoutAbove(path) : null;
        if (whiteout === null) throw error;
        // The layer deletes a directory and makes it anew: what the parents have below stays gone.
        this.#tree.remove(whiteout);
        this.#tree.ensureDirectory(whiteout);
        this.#markOpaque(whiteout);
        this.#tree.ensureDirectory(path);
      }
    });
  }

  /** A whiteout of ours at the path or above it; null when there is none. */
  #whiteoutAbove(path: ByteString): ByteString | null {
    if (this.#form !== 'overlay') return null;
    for (let each = path; each !== ''; each = parentOf(each))
      if (this.#tree.lstat(each)?.type === 'whiteout') return each;
    return null;
  }

  /** Deletes what lies below a directory and did not come with this layer. */
  #removeForeign(directory: ByteString): void {
    for (const name of this.#tree.readdir(directory)) {
      const path = directory === '' ? name : `${directory}/${name}`;
      if (!this.#brought.has(path)) this.#tree.remove(path);
      else if (this.#tree.lstat(path)?.type === 'directory') this.#removeForeign(path);
    }
  }

  #at<T>(call: string, path: ByteString, step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw layerFault(call, path, error);
    }
  }

  #warn(text: string): void {
    if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(text);
  }
}

function isTooDeep(path: ByteString): boolean {
  // Each part has a letter and a slash.
  return path.length >= 2 * MAX_DEPTH && path.split('/').length > MAX_DEPTH;
}

function tooDeep(path: ByteString, entry: TarEntry): InvalidArgumentError {
  return new InvalidArgumentError(`${callOf(entry)} /${readable(path.slice(0, 100))}…: file name too long`);
}

/** The system call that makes an entry, as Go's errors name it. */
function callOf(entry: TarEntry): string {
  switch (entry.type) {
    case 'file':
      return 'open';
    case 'directory':
      return 'mkdir';
    case 'symlink':
      return `symlink ${readable(entry.linkName)}`;
    case 'hardlink':
      return `link /${readable(confine(entry.linkName))}`;
    case 'character':
    case 'block':
    case 'fifo':
      return 'mknod';
  }
}
