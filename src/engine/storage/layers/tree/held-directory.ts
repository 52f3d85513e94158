import { closeSync, constants, lstatSync, openSync, readdirSync, type BigIntStats } from 'node:fs';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { ByteString } from '../tar/entry.ts';

/** Opens a directory and nothing else; a symlink is refused with ELOOP or ENOTDIR. */
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Not to wait for the writer of a fifo that took the file's place. */
const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** What a step on a tree that others write to may meet: it went away, or something else took its place. */
const RACES = new Set(['ENOENT', 'ELOOP', 'ENOTDIR', 'EINVAL', 'ENXIO', 'ESTALE']);

/**
 * A directory held by its descriptor: what is in it is named by descriptor and one name, so that nobody who renames and
 * links meanwhile can lead a walk out of the tree. What goes away during the walk is seen as not there.
 */
export class HeldDirectory implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The top of a tree. Throws when there is no such directory. */
  static open(path: string): HeldDirectory {
    // By its `.`, so that a descriptor's path under /proc can be given, which is a link.
    return new HeldDirectory(openSync(`${path}/.`, OPEN_DIRECTORY));
  }

  /** A path for system calls; `.` is the directory itself. Good while it is held. */
  place(name: ByteString): Buffer {
    return Buffer.from(`/proc/self/fd/${String(this.#fd)}/${name}`, 'latin1');
  }

  /** Names in it, in the order of their bytes. */
  names(): readonly ByteString[] {
    return (unlessGone(() => readdirSync(this.place('.'), { encoding: 'latin1' })) ?? []).sort();
  }

  lstat(name: ByteString): BigIntStats | null {
    return unlessGone(() => lstatSync(this.place(name), { bigint: true }));
  }

  /** Null when it is no directory any more. */
  openDirectory(name: ByteString): HeldDirectory | null {
    const fd = unlessGone(() => openSync(this.place(name), OPEN_DIRECTORY));
    return fd === null ? null : new HeldDirectory(fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Opens a file for reading, itself and not what it points to; null when it has gone. */
export function openFile(place: Buffer): number | null {
  return unlessGone(() => openSync(place, OPEN_FILE));
}

/** Null for what has gone, or is another kind of thing than a moment ago. */
export function unlessGone<T>(step: () => T): T | null {
  try {
    return step();
  } catch (error) {
    if (RACES.has(errnoCodeOf(error) ?? '')) return null;
    throw error;
  }
}
