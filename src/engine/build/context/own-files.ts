/** Reading what stands in a context: never anything outside, whatever links there are. */
import { close, constants, fstat, readFile } from 'node:fs';
import { rm } from 'node:fs/promises';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';

/** Not to wait for the writer of a fifo. */
const OPEN_FILE = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** open(2)'s O_PATH, which node:fs does not name; the same number on x86-64 and arm64. */
const O_PATH = 0o10000000;
export const closeDescriptor: (fd: Fd) => Promise<void> = promisify(close);
const statFd = promisify(fstat);
const readFd = promisify(readFile);

/** What was found at a path. */
export type FoundFile =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'missing' }
  /** A link leads round and round. */
  | { readonly kind: 'endless' }
  | { readonly kind: 'directory' }
  /** A device, a fifo, a socket. */
  | { readonly kind: 'special' }
  | { readonly kind: 'too-large' };

/** Looks at a file before it is read; throws when it may not be. */
export type FileCheck = (file: { readonly fd: Fd; readonly path: string }) => Promise<void>;

/** The text of a file below `root`, links followed inside. */
export async function readBelow(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string | Fd,
  { path, mostBytes, check }: { readonly path: string; readonly mostBytes: number; readonly check?: FileCheck },
): Promise<FoundFile> {
  let fd: Fd;
  try {
    fd = files.openBeneath(root, path, OPEN_FILE);
  } catch (error) {
    switch (errnoCodeOf(error)) {
      case 'ENOENT':
      case 'ENOTDIR':
      case 'ENAMETOOLONG':
        return { kind: 'missing' };
      case 'ELOOP':
        return { kind: 'endless' };
      case 'ENXIO':
        return { kind: 'special' };
      default:
        throw error;
    }
  }
  try {
    const info = await statFd(fd);
    if (info.isDirectory()) return { kind: 'directory' };
    if (!info.isFile()) return { kind: 'special' };
    await check?.({ fd, path });
    if (info.size > mostBytes) return { kind: 'too-large' };
    return { kind: 'text', text: (await readFd(fd)).toString('utf8') };
  } finally {
    await closeDescriptor(fd);
  }
}

/** Removes what is at a clean path below `root`, itself and not what it points to. */
export async function removeBelow(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string): Promise<void> {
  const parent = files.openBeneath(root, posix.dirname(path), O_PATH | constants.O_DIRECTORY);
  try {
    await rm(`/proc/self/fd/${String(parent)}/${posix.basename(path)}`, { recursive: true, force: true });
  } finally {
    await closeDescriptor(parent);
  }
}
