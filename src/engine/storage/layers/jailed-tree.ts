import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { ByteString } from './tar-entry.ts';
import { baseOf, parentOf } from './tar-path.ts';
import type { LayerTree, TreeNode } from './tree.ts';

/** Opens a directory and nothing else; a symlink is refused with ELOOP or ENOTDIR. */
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** As the kernel's own limit. */
const MAX_SYMLINKS = 40;
const IMPLIED_MODE = 0o755;
const NS_PER_SECOND = 1e9;
const TEMPORARY = `.moored-${randomUUID()}`;

/**
 * A {@link LayerTree} that walks directory by directory from a held fd, never by a path from `/`: each step opens one
 * name below the directory before it (through /proc/self/fd, which takes the place of openat(2)) without following
 * symlinks; a symlink met on the way is read and walked the same way, `..` goes back along the held fds and no further
 * than the root. Renames and symlinks made by others at the same time cannot lead it out.
 */
export class JailedTree implements LayerTree {
  readonly #files: FileCalls;
  readonly #root: number;
  /** The directory of the last operation: members of an archive come directory by directory. */
  #last: { readonly path: ByteString; readonly fd: number } | null = null;

  constructor(root: string, files: FileCalls) {
    this.#files = files;
    this.#root = openSync(root, OPEN_DIRECTORY);
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

  readdir(path: ByteString): readonly ByteString[] {
    return readdirSync(Buffer.concat([this.#locate(path), Buffer.from('/.')]), { encoding: 'latin1' });
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
      chmodSync(place, IMPLIED_MODE);
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
    const number = this.#files.device(device.major, device.minor);
    const place = this.#locate(path);
    const plain = plainText(place);
    if (plain !== null) {
      this.#files.mknod(plain, mode, number);
      return;
    }
    // The call takes text: a name that is none gets the node under another name first.
    const temporary = this.#temporary(path);
    this.#files.mknod(temporary, mode, number);
    renameSync(temporary, place);
  }

  remove(path: ByteString): void {
    const place = this.#locate(path);
    rmSync(place, { recursive: true, force: true });
    this.#forget();
  }

  chown(path: ByteString, uid: number, gid: number): void {
    lchownSync(this.#locate(path), uid, gid);
  }

  chmod(path: ByteString, mode: number): void {
    chmodSync(this.#locate(path), mode);
  }

  setModified(path: ByteString, mtimeNs: bigint): void {
    const place = this.#locate(path);
    const plain = plainText(place);
    if (plain !== null) this.#files.setTimes(plain, mtimeNs, mtimeNs);
    else lutimesSync(place, Number(mtimeNs) / NS_PER_SECOND, Number(mtimeNs) / NS_PER_SECOND);
  }

  setXattr(path: ByteString, name: string, value: Buffer): void {
    const place = this.#locate(path);
    const plain = plainText(place);
    if (plain !== null) {
      this.#files.setXattr(plain, name, value);
      return;
    }
    const temporary = this.#temporary(path);
    renameSync(place, temporary);
    try {
      this.#files.setXattr(temporary, name, value);
    } finally {
      renameSync(temporary, place);
    }
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

  /** A name beside `path` that nothing else has. */
  #temporary(path: ByteString): string {
    return placeOf(this.#directory(parentOf(path)), TEMPORARY).toString('latin1');
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

/** The place as text for calls that take text; null when the name is not UTF-8. */
function plainText(place: Buffer): string | null {
  return isUtf8(place) ? place.toString('utf8') : null;
}
