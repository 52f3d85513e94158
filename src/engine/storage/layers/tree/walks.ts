/** Ways through trees, as items for {@link TarStream}. */
import type { BigIntStats } from 'node:fs';
import type { XattrCalls } from './layer-attributes.ts';
import { HeldDirectory } from './held-directory.ts';
import { checkName, isOpaque, isWhiteout } from './layer-attributes.ts';
import { LowerDirectory } from './lower-directory.ts';
import type { ByteString } from '../tar/entry.ts';
import type { PackItem } from '../tar/stream.ts';

/** A layer's own directory in overlayfs's form. InvalidArgumentError for a name that no layer can hold. */
export function* layerItems(files: XattrCalls, root: string): Generator<PackItem, void, void> {
  using top = HeldDirectory.open(root);
  yield* layerDirectory(files, top, '');
}

function* layerDirectory(
  files: XattrCalls,
  directory: HeldDirectory,
  path: ByteString,
): Generator<PackItem, void, void> {
  for (const base of directory.names()) {
    const name = inside(path, base);
    const info = directory.lstat(base);
    if (info === null) continue;
    if (isWhiteout(info)) {
      yield { kind: 'gone', name };
      continue;
    }
    checkName(base, name);
    const place = directory.place(base);
    if (!info.isDirectory()) {
      yield { kind: 'node', name, place, info };
      continue;
    }
    using child = directory.openDirectory(base);
    if (child === null) continue;
    yield { kind: 'node', name, place, info };
    if (isOpaque(files, child.place('.'), name)) yield { kind: 'opaque', name };
    yield* layerDirectory(files, child, name);
  }
}

/**
 * A whole tree as it is seen: a writable directory in overlayfs's form over its parents (nearest first), or, without
 * parents, just a directory.
 */
export function* mergedItems(
  files: XattrCalls,
  root: string,
  parents: readonly string[],
): Generator<PackItem, void, void> {
  using top = HeldDirectory.open(root);
  using lower =
    parents.length === 0
      ? null
      : new LowerDirectory(
          files,
          parents.map((path) => Buffer.from(path)),
        );
  yield* mergedDirectory(files, { upper: top, lower }, '');
}

interface Merged {
  /** Null where only the parents have the directory. */
  readonly upper: HeldDirectory | null;
  readonly lower: LowerDirectory | null;
}

function* mergedDirectory(files: XattrCalls, at: Merged, path: ByteString): Generator<PackItem, void, void> {
  const names = new Set([...(at.upper?.names() ?? []), ...(at.lower?.names() ?? [])]);
  for (const base of [...names].sort()) {
    const name = inside(path, base);
    const info = at.upper?.lstat(base) ?? null;
    if (at.upper === null || info === null) yield* lowerNode(files, at.lower, base, name);
    else if (!isWhiteout(info)) yield* upperNode(files, { ...at, upper: at.upper, info }, base, name);
  }
}

function* lowerNode(
  files: XattrCalls,
  lower: LowerDirectory | null,
  base: ByteString,
  name: ByteString,
): Generator<PackItem, void, void> {
  const found = lower?.lookUp(base) ?? null;
  if (found === null) return;
  using directory = found.inside;
  yield { kind: 'node', name, place: found.place, info: found.info };
  if (directory !== null) yield* mergedDirectory(files, { upper: null, lower: directory }, name);
}

function* upperNode(
  files: XattrCalls,
  { upper, lower, info }: Merged & { readonly upper: HeldDirectory; readonly info: BigIntStats },
  base: ByteString,
  name: ByteString,
): Generator<PackItem, void, void> {
  const place = upper.place(base);
  if (!info.isDirectory()) {
    yield { kind: 'node', name, place, info };
    return;
  }
  using child = upper.openDirectory(base);
  if (child === null) return;
  yield { kind: 'node', name, place, info };
  const hides = lower === null || isOpaque(files, child.place('.'), name);
  using below = hides ? null : (lower.lookUp(base)?.inside ?? null);
  yield* mergedDirectory(files, { upper: child, lower: below }, name);
}

/** A path with one more name. */
export function inside(path: ByteString, base: ByteString): ByteString {
  return path === '' ? base : `${path}/${base}`;
}
