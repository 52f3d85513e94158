import { closeSync, constants, lstatSync, openSync, readdirSync, type BigIntStats } from 'node:fs';
import { isOpaque, isWhiteout, type XattrCalls } from './layer-attributes.ts';
import { unlessGone } from './held-directory.ts';
import type { ByteString } from '../tar/entry.ts';

/** What is at a name in {@link LowerDirectory}. */
export interface LowerNode {
  /** A path for system calls. */
  readonly place: Buffer;
  readonly info: BigIntStats;
  /** What is in it, when it is a directory; the caller's to dispose of. */
  readonly inside: LowerDirectory | null;
}

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Half of PATH_MAX: what is deeper is named from a descriptor on the way. */
const LONGEST_PATH_BYTES = 2048;

/**
 * One directory of a stack of committed layers in overlayfs's form, as overlayfs would show it: whiteouts and opaque
 * directories taken into account, nothing mounted. Committed layers never change and every step but the last was seen to
 * be a directory, so plain paths are safe.
 */
export class LowerDirectory implements Disposable {
  readonly #files: XattrCalls;
  /** The layers' directories that are merged here, nearest first. */
  readonly #places: readonly Buffer[];
  readonly #held: number[] = [];

  constructor(files: XattrCalls, places: readonly Buffer[]) {
    this.#files = files;
    this.#places = places.map((place) => (place.length > LONGEST_PATH_BYTES ? this.#hold(place) : place));
  }

  [Symbol.dispose](): void {
    for (const fd of this.#held.splice(0)) closeSync(fd);
  }

  #hold(place: Buffer): Buffer {
    const fd = openSync(place, OPEN_DIRECTORY);
    this.#held.push(fd);
    return Buffer.from(`/proc/self/fd/${String(fd)}`);
  }

  /** Null when there is nothing, or it was deleted. */
  lookUp(name: ByteString): LowerNode | null {
    const directories: Buffer[] = [];
    let top: Omit<LowerNode, 'inside'> | null = null;
    for (const directory of this.#places) {
      const place = inside(directory, name);
      const info = unlessGone(() => lstatSync(place, { bigint: true }));
      if (info === null) continue;
      if (isWhiteout(info)) break;
      if (!info.isDirectory()) {
        top ??= { place, info };
        break;
      }
      top ??= { place, info };
      directories.push(place);
      if (isOpaque(this.#files, place, name)) break;
    }
    if (top === null) return null;
    return { ...top, inside: directories.length === 0 ? null : new LowerDirectory(this.#files, directories) };
  }

  /** Names that {@link lookUp} finds, in the order of their bytes. */
  names(): readonly ByteString[] {
    const seen = new Set<ByteString>();
    const found: ByteString[] = [];
    for (const directory of this.#places) {
      for (const entry of readdirSync(directory, { encoding: 'latin1', withFileTypes: true })) {
        if (seen.has(entry.name)) continue;
        seen.add(entry.name);
        if (entry.isCharacterDevice() && isWhiteout(lstatSync(inside(directory, entry.name), { bigint: true })))
          continue;
        found.push(entry.name);
      }
    }
    return found.sort();
  }
}

function inside(directory: Buffer, name: ByteString): Buffer {
  return Buffer.concat([directory, Buffer.from(`/${name}`, 'latin1')]);
}
