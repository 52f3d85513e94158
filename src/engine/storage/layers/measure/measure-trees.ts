/**
 * How much trees hold: every byte of theirs, or, for a whole tree on a parent, what is not as it is there. Docker's
 * `directory.Size` and `archive.ChangesSize`: sizes as stat tells them, links to one inode not twice, directories nothing.
 */
import type { BigIntStats } from 'node:fs';
import { errnoCodeOf, messageOf } from '../../../../base/errors.ts';
import type { SnapshotUsage } from '../../driver.ts';
import type { MeasureSource } from '../../measuring.ts';
import { compareTrees } from '../pack/compare-trees.ts';
import { differenceItems } from '../pack/difference-items.ts';
import type { ByteString } from '../tar/entry.ts';
import { inodeOf } from '../tar/stream.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import type { XattrCalls } from '../tree/layer-attributes.ts';
import { inside } from '../tree/walks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

/** Measures one after another; what has gone holds nothing, and one that cannot be measured keeps no other from it. */
export function measureTrees(
  sources: readonly MeasureSource[],
  files: XattrCalls,
  control: JobControl,
): readonly (SnapshotUsage | string)[] {
  return sources.map((source) => {
    try {
      return source.parent === null ? whole(source, control) : difference(source, source.parent, files, control);
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return { sizeBytes: 0, inodes: 0 };
      if (error instanceof Cancelled) throw error;
      return messageOf(error);
    }
  });
}

function whole({ root, except }: MeasureSource, control: JobControl): SnapshotUsage {
  const passedOver = new Set(except.map(asBytes));
  const sum = new Sum();
  const walk = (directory: HeldDirectory, path: ByteString): void => {
    for (const base of directory.names()) {
      if (control.isCancelled()) throw new Cancelled();
      const place = inside(path, base);
      if (passedOver.has(place)) continue;
      const info = directory.lstat(base);
      if (info === null) continue;
      sum.add(info);
      if (!info.isDirectory()) continue;
      using child = directory.openDirectory(base);
      if (child !== null) walk(child, place);
    }
  };
  using top = HeldDirectory.open(root);
  walk(top, '');
  return sum.usage;
}

function difference(
  { root, except }: MeasureSource,
  parent: string,
  files: XattrCalls,
  control: JobControl,
): SnapshotUsage {
  const compared = { form: 'tree', root, parents: [parent], scaffold: except } as const;
  const { differences } = compareTrees(compared, files, control);
  const passedOver = new Set(except.map(asBytes));
  const sum = new Sum();
  for (const item of differenceItems(root, differences)) {
    if (item.kind === 'node' && !passedOver.has(item.name)) sum.add(item.info);
  }
  return sum.usage;
}

/** As names are in trees: bytes, without a slash before them. */
function asBytes(path: string): ByteString {
  return Buffer.from(path.replace(/^\/+/, '')).toString('latin1');
}

class Sum {
  readonly #seen = new Set<string>();
  #sizeBytes = 0;
  #inodes = 0;

  add(info: BigIntStats): void {
    if (!info.isDirectory() && info.nlink > 1n) {
      const key = inodeOf(info);
      if (this.#seen.has(key)) return;
      this.#seen.add(key);
    }
    this.#inodes += 1;
    if (!info.isDirectory()) this.#sizeBytes += Number(info.size);
  }

  get usage(): SnapshotUsage {
    return { sizeBytes: this.#sizeBytes, inodes: this.#inodes };
  }
}
