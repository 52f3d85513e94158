import type { Difference } from '../job.ts';
import { HeldDirectory } from '../tree/held-directory.ts';
import { checkName } from '../tree/layer-attributes.ts';
import type { ByteString } from '../tar/entry.ts';
import type { PackItem } from '../tar/stream.ts';
import { baseOf } from '../tar/path.ts';

/** The differences of a whole tree from its parent as items of a layer. What has gone since is left out. */
export function* differenceItems(root: string, differences: readonly Difference[]): Generator<PackItem, void, void> {
  using top = HeldDirectory.open(root);
  yield* directoryItems(top, '', byDirectory(differences));
}

/** Changed things by the directory that they are in. */
type Changed = ReadonlyMap<ByteString, readonly Difference[]>;

function byDirectory(differences: readonly Difference[]): Changed {
  const changed = new Map<ByteString, Difference[]>();
  for (const difference of differences) {
    const directory = difference.path.slice(0, Math.max(0, difference.path.lastIndexOf('/')));
    const siblings = changed.get(directory);
    if (siblings === undefined) changed.set(directory, [difference]);
    else siblings.push(difference);
  }
  return changed;
}

function* directoryItems(
  directory: HeldDirectory,
  path: ByteString,
  changed: Changed,
): Generator<PackItem, void, void> {
  for (const { path: name, kind } of changed.get(path) ?? []) {
    const base = baseOf(name);
    if (kind === 'deleted') {
      yield { kind: 'gone', name };
      continue;
    }
    checkName(base, name);
    const info = directory.lstat(base);
    if (info === null) continue;
    yield { kind: 'node', name, place: directory.place(base), info };
    if (!info.isDirectory()) continue;
    using child = directory.openDirectory(base);
    if (child !== null) yield* directoryItems(child, name, changed);
  }
}
