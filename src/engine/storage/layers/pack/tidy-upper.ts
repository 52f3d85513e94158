import { chmodSync, lchownSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import { belongsToLayer, checkContentIsHere, dropMarks, OPAQUE_XATTR } from '../tree/layer-attributes.ts';
import type { JobControl } from '../unpack/unpack-blob.ts';
import { walkUpper, type UpperEntry, type UpperSource, type UpperVisitor } from './walk-upper.ts';

const LAYER_ROOT_MODE = 0o755;
const NS_PER_SECOND = 1_000_000_000n;

/**
 * Makes a writable directory of overlayfs, which nobody writes to any more, what the layer made of it would be if it were
 * unpacked: without the engine's own files, sockets and marks; nothing in it is later than `latestTime`, in seconds.
 */
export function tidyUpper(
  source: UpperSource,
  files: FileCalls,
  { control, latestTime }: { readonly control: JobControl; readonly latestTime: number | null },
): void {
  const latestNs = latestTime === null ? null : BigInt(latestTime) * NS_PER_SECOND;
  walkUpper(source, new Tidying(files, latestNs), files, control);
  // No layer says anything about the root.
  lchownSync(source.root, 0, 0);
  chmodSync(source.root, LAYER_ROOT_MODE);
  const place = Buffer.from(source.root);
  for (const name of files.listXattrs(place)) if (belongsToLayer(name)) files.removeXattr(place, name);
  dropMarks(files, place);
}

class Tidying implements UpperVisitor {
  readonly #files: FileCalls;
  /** Null: times are as they are. */
  readonly #latestNs: bigint | null;

  constructor(files: FileCalls, latestNs: bigint | null) {
    this.#files = files;
    this.#latestNs = latestNs;
  }

  whiteout(): void {
    // Is what a layer has for it.
  }

  enter(): void {
    // Is there.
  }

  ours({ place }: UpperEntry): void {
    unlinkSync(place);
  }

  drop({ place }: UpperEntry): void {
    rmdirSync(place);
  }

  node({ path, place, info }: UpperEntry): void {
    if (info.isSocket()) {
      unlinkSync(place);
      return;
    }
    checkContentIsHere(this.#files, place, path);
    dropMarks(this.#files, place);
    const mtimeNs = this.#limited(info.mtimeNs);
    if (mtimeNs !== info.mtimeNs) this.#files.setTimes(place, mtimeNs, mtimeNs);
  }

  leave({ place, info }: UpperEntry): void {
    dropMarks(this.#files, place, OPAQUE_XATTR);
    // As before something in it was removed.
    const mtimeNs = this.#limited(info.mtimeNs);
    if (statSync(place, { bigint: true }).mtimeNs !== mtimeNs) this.#files.setTimes(place, mtimeNs, mtimeNs);
  }

  #limited(mtimeNs: bigint): bigint {
    return this.#latestNs !== null && mtimeNs > this.#latestNs ? this.#latestNs : mtimeNs;
  }
}
