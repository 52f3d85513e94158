import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  type BigIntStats,
} from 'node:fs';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import { belongsToLayer, dropMarks } from './layer-attributes.ts';
import type { ByteString } from '../tar/entry.ts';
import { baseOf, parentOf } from '../tar/path.ts';
import type { LayerTree, TreeNode } from './tree.ts';

/** Opens a directory and nothing else; a symlink is refused with ELOOP or ENOTDIR. */
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** As the kernel's own limit. */
const MAX_SYMLINKS = 40;
const IMPLIED_MODE = 0o755;
/** open(2)'s O_PATH, which node:fs does not name; the same number on x86-64 and arm64. */
const O_PATH = 0o10000000;
/** Each step down holds a descriptor; no archive of ours makes deeper trees. */
const MAX_DEPTH = 4096;

/**
 * A {@link LayerTree} that walks directory by directory from a held fd, never by a path from `/`: each step opens one
 * name below the directory before it (through /proc/self/fd, which takes the place of openat(2)) without following
 * symlinks; a symlink met on the way is read and walked the same way, `..` goes back along the held fds and no further
 * than the root. Renames and symlinks made by others at the same time cannot lead it out.
 */
export class JailedTree implements LayerTree {
  readonly #files: FileCalls;
  readonly #root: number;
  readonly #chmod: (place: Buffer, mode: number) => void;
  /** The directory of the last operation: members of an archive come directory by directory. */
  #last: { readonly path: ByteString; readonly fd: number } | null = null;

  /** `shared`: others may be at work in the tree, so that what was made a moment ago may be a link by now. */
  constructor(root: string, files: FileCalls, { shared = false }: { readonly shared?: boolean } = {}) {
    this.#files = files;
    this.#chmod = shared ? chmodItself : chmodSync;
    // By its `.`, so that a descriptor's path under /proc can be given, which is a link.
    this.#root = openSync(`${root}/.`, OPEN_DIRECTORY);
  }

  lstat(path: ByteString): TreeNode | null {
    try {
      const info = lstatSync(this.#locate(path));
      const whiteout = info.isCharacterDevice() && info.rdev === 0;
      const type = info.isDirectory()
        ? 'directory'
        : info.isFile()
          ? 'file'
          : info.isSymbolicLink()
            ? 'symlink'
            : whiteout
              ? 'whiteout'
              : 'other';
      return { type, sizeBytes: info.size };
    } catch (error) {
      // ENOTDIR: a file stands where the path has a directory. ENAMETOOLONG: there cannot be such a thing.
      const code = errnoCodeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return null;
      throw error;
    }
  }

  /** ENOENT when there is nothing. */
  info(path: ByteString): BigIntStats {
    return lstatSync(this.#locate(path), { bigint: true });
  }

  readdir(path: ByteString): readonly ByteString[] {
    // A link is followed, inside.
    const fd = this.#walk(path);
    try {
      return readdirSync(placeOf(fd, '.'), { encoding: 'latin1' });
    } finally {
      closeSync(fd);
    }
  }

  mkdir(path: ByteString, mode: number): void {
    mkdirSync(this.#locate(path), { mode });
  }

  ensureDirectory(path: ByteString): void {
    if (path === '' || path === this.#last?.path) return;
    try {
      this.#directory(path);
    } catch (error) {
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
      this.ensureDirectory(parentOf(path));
      const place = this.#locate(path);
      try {
        mkdirSync(place, { mode: IMPLIED_MODE });
      } catch (failure) {
        // A symlink that leads nowhere: what it leads to is missing, not the name itself.
        throw errnoCodeOf(failure) === 'EEXIST' ? error : failure;
      }
      // The process's umask must not have a say.
      this.#chmod(place, IMPLIED_MODE);
    }
  }

  create(path: ByteString): number {
    return openSync(this.#locate(path), CREATE, 0o600);
  }

  symlink(target: ByteString, path: ByteString): void {
    symlinkSync(Buffer.from(target, 'latin1'), this.#locate(path));
  }

  link(existing: ByteString, path: ByteString): void {
    // Two places are needed at once, so the first must not close when the second is found.
    const from = this.#walk(parentOf(existing));
    try {
      linkSync(placeOf(from, baseOf(existing)), this.#locate(path));
    } finally {
      closeSync(from);
    }
  }

  mknod(path: ByteString, mode: number, device: { readonly major: number; readonly minor: number }): void {
    this.#files.mknod(this.#locate(path), mode, this.#files.device(device.major, device.minor));
  }

  remove(path: ByteString): void {
    removeHeld(this.#locate(path), 0);
    this.#forget();
  }

  chown(path: ByteString, uid: number, gid: number): void {
    lchownSync(this.#locate(path), uid, gid);
  }

  chmod(path: ByteString, mode: number): void {
    this.#chmod(this.#locate(path), mode);
  }

  setModified(path: ByteString, mtimeNs: bigint): void {
    this.#files.setTimes(this.#locate(path), mtimeNs, mtimeNs);
  }

  setXattr(path: ByteString, name: string, value: Buffer): void {
    this.#files.setXattr(this.#locate(path), name, value);
  }

  clearXattrs(path: ByteString): void {
    const place = this.#locate(path);
    for (const name of this.#files.listXattrs(place)) if (belongsToLayer(name)) this.#files.removeXattr(place, name);
  }

  /** See layer-attributes.ts. */
  dropMarks(path: ByteString): void {
    dropMarks(this.#files, this.#locate(path));
  }

  [Symbol.dispose](): void {
    this.#forget();
    closeSync(this.#root);
  }

  /** A path for system calls that stays in the jail: the held directory's fd and one name. */
  #locate(path: ByteString): Buffer {
    if (path === '') return placeOf(this.#root, '.');
    return placeOf(this.#directory(parentOf(path)), baseOf(path));
  }

  /** A held fd of the directory. */
  #directory(path: ByteString): number {
    if (path === '') return this.#root;
    if (this.#last?.path === path) return this.#last.fd;
    const fd = this.#walk(path);
    this.#forget();
    this.#last = { path, fd };
    return fd;
  }

  /** Opens a directory; the caller closes it. */
  #walk(path: ByteString): number {
    const held: number[] = [openSync(placeOf(this.#root, '.'), OPEN_DIRECTORY)];
    const pending = partsOf(path);
    let symlinks = 0;
    try {
      for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
        if (part === '..') {
          if (held.length > 1) closeSync(held.pop() ?? -1);
          continue;
        }
        const here = held.at(-1) ?? this.#root;
        const next = openOrRead(placeOf(here, part));
        if (typeof next === 'number') {
          held.push(next);
          continue;
        }
        symlinks += 1;
        if (symlinks > MAX_SYMLINKS)
          throw Object.assign(new Error('too many levels of symbolic links'), { code: 'ELOOP' });
        if (next.startsWith('/')) for (const fd of held.splice(1)) closeSync(fd);
        pending.push(...partsOf(next));
      }
      return held.pop() ?? this.#root;
    } finally {
      for (const fd of held) closeSync(fd);
    }
  }

  #forget(): void {
    if (this.#last !== null) closeSync(this.#last.fd);
    this.#last = null;
  }
}

/** chmod(2) follows a link that somebody puts there meanwhile; this never does. */
function chmodItself(place: Buffer, mode: number): void {
  const fd = openSync(place, O_PATH | constants.O_NOFOLLOW);
  try {
    // Fails for a link, as it must: a link has no mode.
    if (fstatSync(fd).isSymbolicLink()) throw Object.assign(new Error('a link has no mode'), { code: 'ELOOP' });
    chmodSync(`/proc/self/fd/${String(fd)}`, mode);
  } finally {
    closeSync(fd);
  }
}

/** Removes what is there with all below it, each name from a held directory: no link is ever followed. */
function removeHeld(place: Buffer, depth: number): void {
  let fd: number;
  try {
    unlinkSync(place);
    return;
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOENT') return;
    // EPERM is what POSIX has unlink(2) say of a directory.
    if (code !== 'EISDIR' && code !== 'EPERM') throw error;
    if (depth === MAX_DEPTH) throw Object.assign(new Error('directories too deep'), { code: 'ENAMETOOLONG' });
    fd = openSync(place, OPEN_DIRECTORY);
  }
  try {
    for (const name of readdirSync(placeOf(fd, '.'), { encoding: 'latin1' })) removeHeld(placeOf(fd, name), depth + 1);
  } finally {
    closeSync(fd);
  }
  rmdirSync(place);
}

/** The parts of a path, first one last. */
function partsOf(path: ByteString): string[] {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .reverse();
}

function placeOf(fd: number, name: ByteString): Buffer {
  return Buffer.from(`/proc/self/fd/${String(fd)}/${name}`, 'latin1');
}

/** An fd of a directory, or the target of a symlink. */
function openOrRead(place: Buffer): number | ByteString {
  try {
    return openSync(place, OPEN_DIRECTORY);
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code !== 'ELOOP' && code !== 'ENOTDIR') throw error;
    try {
      return readlinkSync(place, { encoding: 'latin1' });
    } catch {
      throw error; // Not a symlink: a file where a directory should be.
    }
  }
}
