/** Reaching files inside a container's root without being led out of it: thin words over the kernel's `openBeneath`. */
import { closeSync, constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';

/** open(2)'s O_PATH, which node:fs does not name; the same number on x86-64 and arm64. */
const O_PATH = 0o10000000;

/** An open file or directory; dispose to close it. */
export interface Held extends Disposable {
  readonly fd: Fd;
}

/** Path by which node:fs reaches `name` directly inside an open directory; follow no link with it. */
export function pathAt(directory: Fd, name: string): string {
  return `/proc/self/fd/${String(directory)}/${name}`;
}

/** Opens a file for reading inside `root`; null when it is not there. Does not wait for a fifo's writer. */
export function openFileBeneath(files: Pick<FileCalls, 'openBeneath'>, root: string | Fd, path: string): Held | null {
  return open(files, root, path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Opens a directory inside `root`; null when it is not there. */
export function openDirectoryBeneath(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string | Fd,
  path: string,
): Held | null {
  return open(files, root, path, O_PATH | constants.O_DIRECTORY);
}

/** True when something is there inside `root`, of whatever kind. */
export function holdsBeneath(files: Pick<FileCalls, 'openBeneath'>, root: string | Fd, path: string): boolean {
  using held = open(files, root, path, O_PATH);
  return held !== null;
}

/** Makes a directory inside `root`, and those it is in. What is there already is left, also when it is no directory. */
export function makeDirectoryBeneath(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string): void {
  using existing = open(files, root, path, O_PATH);
  if (existing !== null) return;
  const parentPath = posix.dirname(path);
  makeDirectoryBeneath(files, root, parentPath);
  using parent = openDirectoryBeneath(files, root, parentPath);
  if (parent !== null) mkdirSync(pathAt(parent.fd, posix.basename(path)), { mode: 0o755 });
}

/** Makes an empty file inside `root`, in a directory that is there; what is there already, of whatever kind, is left. */
export function makeFileBeneath(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string): void {
  makeBeneath(files, root, path, (place) => writeFileSync(place, '', { flag: 'wx', mode: 0o755 }));
}

/** Makes a symbolic link inside `root`, by the rules of {@link makeFileBeneath}. */
export function makeLinkBeneath(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string,
  path: string,
  target: string,
): void {
  makeBeneath(files, root, path, (place) => symlinkSync(target, place));
}

function makeBeneath(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string,
  path: string,
  make: (place: string) => void,
): void {
  using directory = openDirectoryBeneath(files, root, posix.dirname(path));
  if (directory === null) return;
  try {
    make(pathAt(directory.fd, posix.basename(path)));
  } catch (error) {
    if (errnoCodeOf(error) !== 'EEXIST') throw error;
  }
}

function open(files: Pick<FileCalls, 'openBeneath'>, root: string | Fd, path: string, flags: number): Held | null {
  try {
    const fd = files.openBeneath(root, path, flags);
    return { fd, [Symbol.dispose]: () => closeSync(fd) };
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}
