import { closeSync, constants, copyFileSync, fstatSync, lstatSync, openSync, readSync, writeSync } from 'node:fs';
import { errnoText } from '../../../../base/errno-text.ts';
import { EngineError, InvalidArgumentError } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';
import { layerFault } from '../layer-fault.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import { confine, parentOf } from '../tar/path.ts';
import { fillWithHoles, hasHoles } from '../tree/file-holes.ts';
import { openFile } from '../tree/held-directory.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import type { TreeNode } from '../tree/tree.ts';
import { resolveText } from '../view/locate.ts';
import type { Owner } from './owners.ts';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const DIRECTORY_MODE = 0o755;
/** For less, a read and a write are quicker than to open both again and have the kernel copy. */
const SMALL_BYTES = 64n * 1024n;
const NS_PER_SECOND = 1_000_000_000n;

/** The tree that is copied to. Times of directories are set when everything has been written. */
export class Target implements Disposable {
  readonly tree: JailedTree;
  readonly #files: FileCalls;
  readonly #root: number;
  readonly #buffer = Buffer.allocUnsafe(Number(SMALL_BYTES));
  /** Null: as they are. */
  readonly #latestNs: bigint | null;
  /** Null: whatever time it has by then. */
  readonly #directoryTimes = new Map<ByteString, bigint | null>();

  constructor(root: string, files: FileCalls, latestTime: number | null) {
    this.#files = files;
    this.#latestNs = latestTime === null ? null : BigInt(Math.trunc(latestTime)) * NS_PER_SECOND;
    this.#root = openSync(`${root}/.`, OPEN_DIRECTORY);
    this.tree = new JailedTree(root, files);
  }

  /**
   * A path as it is written, with all links resolved inside, also a last one and those that lead nowhere.
   * InvalidArgumentError where it goes through what is no directory.
   */
  resolve(path: string): ByteString {
    const resolved = confine(resolveText(this.#root, Buffer.from(path).toString('latin1')));
    for (let above = parentOf(resolved); above !== ''; above = parentOf(above)) {
      const node = this.look(above);
      if (node?.type === 'directory') break;
      if (node !== null) throw refusal('lstat', resolved, 'ENOTDIR');
    }
    return resolved;
  }

  /** Null when there is nothing. */
  look(path: ByteString): TreeNode | null {
    return at('lstat', path, () => this.tree.lstat(path));
  }

  /** True when it was not there. Those above it that are missing are made, too. */
  makeDirectories(path: ByteString, owners: { readonly above: Owner; readonly last: Owner }): boolean {
    const existing = this.look(path);
    if (path === '' || existing?.type === 'directory') return false;
    if (existing !== null) throw refusal('mkdir', path, 'ENOTDIR');
    const parent = parentOf(path);
    this.makeDirectories(parent, { above: owners.above, last: owners.above });
    at('mkdir', path, () => {
      this.tree.mkdir(path, DIRECTORY_MODE);
      this.tree.chown(path, owners.last.uid, owners.last.gid);
      // The process's umask must not have a say.
      this.tree.chmod(path, DIRECTORY_MODE);
    });
    this.touch(parent);
    this.touch(path);
    return true;
  }

  /** A directory in the place of whatever is no directory; true when it was not there. */
  putDirectory(path: ByteString): boolean {
    if (this.look(path)?.type === 'directory') return false;
    this.clear(path);
    at('mkdir', path, () => this.tree.mkdir(path, DIRECTORY_MODE));
    return true;
  }

  /** Takes away whatever is there. */
  clear(path: ByteString): void {
    if (this.look(path) !== null) at('remove', path, () => this.tree.remove(path));
    this.touch(parentOf(path));
  }

  /** A file with the bytes of another; false when that has gone. */
  copyFile(path: ByteString, place: Buffer): boolean {
    const source = openFile(place);
    if (source === null) return false;
    try {
      at('open', path, () => this.#copyOpen(path, source));
    } finally {
      closeSync(source);
    }
    return true;
  }

  writeFile(path: ByteString, content: Buffer): void {
    at('open', path, () => {
      const fd = this.tree.create(path);
      try {
        for (let done = 0; done < content.length;) done += writeSync(fd, content, done);
      } finally {
        closeSync(fd);
      }
    });
  }

  /** The time that a file may have. */
  timeOf(mtimeNs: bigint): bigint {
    return this.#latestNs !== null && mtimeNs > this.#latestNs ? this.#latestNs : mtimeNs;
  }

  /** Something in a directory has changed: it gets a time that is allowed. */
  touch(directory: ByteString): void {
    if (this.#latestNs !== null && !this.#directoryTimes.has(directory)) this.#directoryTimes.set(directory, null);
  }

  /** A directory's time, at the end. */
  setDirectoryTime(path: ByteString, mtimeNs: bigint): void {
    this.#directoryTimes.set(path, this.timeOf(mtimeNs));
  }

  /** Opens a directory for whoever writes below it alone; the caller closes it. */
  openDirectory(path: ByteString): number {
    return at('open', path, () =>
      openSync(Buffer.from(`${descriptor(this.#root)}/${path}/.`, 'latin1'), OPEN_DIRECTORY),
    );
  }

  /** Everything has been written: directories get their times. */
  finish(): void {
    for (const [path, wanted] of this.#directoryTimes) {
      if (path !== '' && this.look(path)?.type !== 'directory') continue;
      at('chtimes', path, () => this.tree.setModified(path, wanted ?? this.timeOf(this.#presentTime(path))));
    }
  }

  [Symbol.dispose](): void {
    this.tree[Symbol.dispose]();
    closeSync(this.#root);
  }

  #presentTime(path: ByteString): bigint {
    return lstatSync(Buffer.from(`${descriptor(this.#root)}/${path}/.`, 'latin1'), { bigint: true }).mtimeNs;
  }

  #copyOpen(path: ByteString, source: number): void {
    const info = fstatSync(source, { bigint: true });
    const target = this.tree.create(path);
    try {
      if (hasHoles(info)) fillWithHoles(this.#files, source, { target, size: Number(info.size) });
      else if (info.size > SMALL_BYTES)
        copyFileSync(descriptor(source), descriptor(target), constants.COPYFILE_FICLONE);
      else this.#copySmall(source, target);
    } finally {
      closeSync(target);
    }
  }

  #copySmall(source: number, target: number): void {
    for (let read = readSync(source, this.#buffer); read > 0; read = readSync(source, this.#buffer))
      for (let done = 0; done < read;) done += writeSync(target, this.#buffer, done, read - done);
  }
}

function descriptor(fd: number): string {
  return `/proc/self/fd/${String(fd)}`;
}

/** Names a failed step as dockerd does. */
export function at<T>(call: string, path: ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw layerFault(call, path, error);
  }
}

/** Go's `PathError` for a path of the image. */
export function refusal(call: string, path: ByteString, code: string): InvalidArgumentError {
  return new InvalidArgumentError(`${call} /${readable(path)}: ${errnoText(code)}`);
}

/** Puts Docker's words before an error's. */
export function wrapped<T>(words: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof EngineError && error.kind === 'invalid-argument')
      throw new InvalidArgumentError(`${words}: ${error.message}`, { cause: error });
    throw error;
  }
}
