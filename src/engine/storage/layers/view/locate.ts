import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type BigIntStats } from 'node:fs';
import { errnoCodeOf } from '../../../../base/errors.ts';
import type { ByteString } from '../tar/entry.ts';

/** Opens a directory and nothing else; a symlink is refused with ELOOP or ENOTDIR. */
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** As the kernel's own limit, and Go's for its look-ups. */
const MAX_LINKS = 255;

/** Something found in a tree, held by the directory it is in; dispose to let go. */
export interface Located extends Disposable {
  /** Descriptor of the directory. */
  readonly directory: number;
  /** Name in it; `.` is the directory itself. */
  readonly name: ByteString;
  readonly info: BigIntStats;
  /** Where that is, all links resolved, absolute. */
  readonly path: ByteString;
}

/**
 * Walks a path from the root, name by name from held directories; links are read and walked the same way, and neither they
 * nor `..` lead out. `follow`: also the last part. Throws what Node's fs throws, with `code`.
 */
export function locate(root: number, path: ByteString, { follow }: { readonly follow: boolean }): Located {
  using walk = new Walk(root);
  const pending = partsOf(path);
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '..') {
      walk.up();
      continue;
    }
    const info = lstatSync(walk.place(part), { bigint: true });
    const isLast = pending.length === 0;
    if (info.isSymbolicLink() && (follow || !isLast)) {
      links += 1;
      if (links > MAX_LINKS) throw failure('ELOOP', 'too many levels of symbolic links');
      const target = readlinkSync(walk.place(part), { encoding: 'latin1' });
      if (target.startsWith('/')) walk.toRoot();
      pending.push(...partsOf(target));
    } else if (isLast && !info.isDirectory()) {
      return walk.stop(part, info);
    } else {
      walk.down(part);
    }
  }
  return walk.stop('.', null);
}

/** Where a link leads in the end, as far as that exists: what is missing stays as it is written. */
export function resolveText(root: number, path: ByteString): ByteString {
  using walk = new Walk(root);
  const pending = partsOf(path);
  const missing: ByteString[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (missing.length > 0 || part === '..') {
      if (part !== '..') missing.push(part);
      else if (missing.pop() === undefined) walk.up();
      continue;
    }
    try {
      const info = lstatSync(walk.place(part), { bigint: true });
      if (info.isDirectory()) {
        walk.down(part);
      } else if (info.isSymbolicLink() && links < MAX_LINKS) {
        links += 1;
        const target = readlinkSync(walk.place(part), { encoding: 'latin1' });
        if (target.startsWith('/')) walk.toRoot();
        pending.push(...partsOf(target));
      } else {
        missing.push(part);
      }
    } catch (error) {
      if (errnoCodeOf(error) === null) throw error;
      missing.push(part);
    }
  }
  return `/${[...walk.names, ...missing].join('/')}`;
}

/** Directories from the root to where a walk is. */
class Walk implements Disposable {
  readonly #held: { readonly fd: number; readonly name: ByteString }[];

  constructor(root: number) {
    this.#held = [{ fd: openSync(placeOf(root, '.'), OPEN_DIRECTORY), name: '' }];
  }

  get names(): readonly ByteString[] {
    return this.#held.slice(1).map(({ name }) => name);
  }

  place(name: ByteString): Buffer {
    return placeOf(this.#here, name);
  }

  down(name: ByteString): void {
    this.#held.push({ fd: openSync(this.place(name), OPEN_DIRECTORY), name });
  }

  up(): void {
    if (this.#held.length > 1) closeSync(this.#held.pop()?.fd ?? -1);
  }

  toRoot(): void {
    for (const { fd } of this.#held.splice(1)) closeSync(fd);
  }

  /** Gives the present directory away, with a name in it. */
  stop(name: ByteString, info: BigIntStats | null): Located {
    const path = `/${[...this.names, ...(name === '.' ? [] : [name])].join('/')}`;
    const found = info ?? fstatSync(this.#here, { bigint: true });
    const { fd: directory } = this.#held.pop() ?? { fd: -1 };
    return { directory, name, info: found, path, [Symbol.dispose]: () => closeSync(directory) };
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#held) closeSync(fd);
  }

  get #here(): number {
    return this.#held.at(-1)?.fd ?? -1;
  }
}

/** A path for system calls that stays in the held directory. */
export function placeOf(fd: number, name: ByteString): Buffer {
  return Buffer.from(`/proc/self/fd/${String(fd)}/${name}`, 'latin1');
}

/** The parts of a path, first one last. */
function partsOf(path: ByteString): string[] {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .reverse();
}

function failure(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
