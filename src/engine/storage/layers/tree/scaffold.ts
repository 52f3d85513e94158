import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../tar/entry.ts';

/**
 * What the engine itself puts into every container's root so that something can be mounted there: empty files,
 * directories and links, which are no change of the container's. Paths without a leading slash.
 */
export class Scaffold {
  readonly #paths: ReadonlySet<ByteString>;
  /** The directories above them. */
  readonly #above: ReadonlySet<ByteString>;

  constructor(paths: readonly string[]) {
    const names = paths.map((path) => Buffer.from(path.replace(/^\/+/, '')).toString('latin1'));
    this.#paths = new Set(names);
    this.#above = new Set(names.flatMap(directoriesAbove));
  }

  /** True for a thing that is ours, if the parents do not have it and, a directory, nothing is in it. */
  has(path: ByteString, info: BigIntStats): boolean {
    if (!this.#paths.has(path)) return false;
    return info.isDirectory() || info.isSymbolicLink() || (info.isFile() && info.size === 0n);
  }

  /** True for a directory that may have been made or touched only for the sake of what is in it. */
  isAbove(path: ByteString): boolean {
    return this.#above.has(path);
  }
}

function directoriesAbove(path: ByteString): readonly ByteString[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}
