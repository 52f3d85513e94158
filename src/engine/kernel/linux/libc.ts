/**
 * The C library by koffi: how calls are bound and how errno becomes a {@link KernelError}. Nothing here knows what the
 * calls mean; each concern binds its own in its own file.
 *
 * Rules kept throughout this folder: fixed-arity prototypes; errno is read at once after a synchronous call; structures
 * are Buffers laid out by hand for LP64 little-endian (x86_64 and aarch64 are alike in all that are used here).
 */
import { readFileSync, closeSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';
import type { LibraryHandle } from 'koffi';
import type { Fd } from '../kernel.ts';
import { KernelError } from '../kernel.ts';

/** A shared library whose functions are bound on demand. */
export class Library {
  readonly #handle: LibraryHandle;

  constructor(handle: LibraryHandle) {
    this.#handle = handle;
  }

  /** Binds one function by its C prototype; `F` is the same in TypeScript. Throws when the library lacks it. */
  bind<F>(prototype: string): F {
    return this.#handle.func(prototype) as unknown as F;
  }

  /** As {@link bind}, or null when this version of the library lacks the function. */
  bindOptional<F>(prototype: string): F | null {
    try {
      return this.bind<F>(prototype);
    } catch {
      return null;
    }
  }
}

/** Loads a library by its soname; null when the machine does not have it. */
export function loadLibrary(soname: string): Library | null {
  try {
    return new Library(koffi.load(soname));
  } catch {
    return null;
  }
}

function loadLibc(): Library {
  const library = loadLibrary('libc.so.6');
  if (library === null) throw new KernelError('dlopen', 'ENOENT', 'libc.so.6', 'the GNU C library cannot be loaded');
  return library;
}

export const libc = loadLibc();

/** A pointer argument: bytes of ours, a pointer the library gave, or NULL. */
export type Pointer = Buffer | bigint | null;

/** Value of `dirfd` that means the working directory. */
export const AT_FDCWD = -100;

const NAMES_BY_ERRNO = new Map<number, string>([
  [117, 'EUCLEAN'],
  [124, 'EMEDIUMTYPE'],
  // Later entries of Node's table are aliases (EWOULDBLOCK, EOPNOTSUPP): the first name wins.
  ...Object.entries(constants.errno)
    .reverse()
    .map(([name, errno]): [number, string] => [errno, name]),
  [constants.errno.EAGAIN, 'EAGAIN'],
  [constants.errno.ENOTSUP, 'ENOTSUP'],
]);

const strerror = libc.bind<(errno: number) => string>('const char *strerror(int errno)');

/** `ENOENT` for 2; `E524` for numbers that have no name. */
export function errnoName(errno: number): string {
  return NAMES_BY_ERRNO.get(errno) ?? `E${String(errno)}`;
}

/** The error of a call that failed with `errno`; `text` replaces the C library's words. */
export function errnoError(call: string, errno: number, path: string | null = null, text?: string): KernelError {
  const name = errnoName(errno);
  return new KernelError(call, name, path, `${text ?? strerror(errno).toLowerCase()} (${name})`);
}

/** Passes on the result of a call that returned ≥ 0; otherwise throws the error that errno tells. */
export function check(result: number, call: string, path: string | null = null): number {
  if (result >= 0) return result;
  throw errnoError(call, koffi.errno(), path);
}

/** errno of the call just made. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Runs a `node:fs` call and turns its error into a {@link KernelError}. */
export function viaNode<T>(call: string, path: string | null, job: () => T): T {
  try {
    return job();
  } catch (error) {
    const errno = error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? -error.errno : null;
    if (errno === null) throw error;
    throw errnoError(call, errno, path);
  }
}

/** Closes a descriptor on a way out, where nothing can be done about a failure. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // EBADF would mean a double close, EIO a network file system: neither must hide the first error.
  }
}

/** Runs `job` with a descriptor and closes it on every way out. */
export function withFd<T>(fd: number, job: (fd: number) => T): T {
  try {
    return job(fd);
  } finally {
    closeQuietly(fd);
  }
}

/** Marks a number as a descriptor that the receiver owns. */
export function asFd(fd: number): Fd {
  return fd as Fd;
}

/** The text of a file in /proc. */
export function readProc(path: string): string {
  return viaNode('read', path, () => readFileSync(path, 'utf8'));
}
