import { InvalidArgumentError } from '../../../../base/errors.ts';
import { compileGlob } from '../../../../base/go-glob.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import type { HeldDirectory } from '../tree/held-directory.ts';
import { inside } from '../tree/walks.ts';

/** True for words of COPY that are a pattern: an unquoted `*`, `?` or `[`. */
export function hasWildcard(text: string): boolean {
  return /^(?:[^\\*?[]|\\.)*[*?[]/s.test(text);
}

/**
 * Paths below a directory that Go's `filepath.Match` matches, in the order of a walk. No wildcard goes over a slash, so
 * each part of the pattern is one level. Links are not walked through. A malformed pattern matches nothing, as in dockerd.
 */
export function matchingPaths(top: HeldDirectory, pattern: string, look: () => void): readonly ByteString[] {
  const found: ByteString[] = [];
  const parts = partsOf(pattern);
  if (parts === null) return [];
  collect(top, '', parts, { found, look });
  return found;
}

function partsOf(pattern: string): readonly ((text: string) => boolean)[] | null {
  try {
    return pattern.split('/').map((part) => compileGlob(part));
  } catch (error) {
    if (error instanceof InvalidArgumentError) return null;
    throw error;
  }
}

function collect(
  directory: HeldDirectory,
  path: ByteString,
  [matches, ...rest]: readonly ((text: string) => boolean)[],
  walk: { readonly found: ByteString[]; readonly look: () => void },
): void {
  walk.look();
  if (matches === undefined) return;
  for (const base of directory.names()) {
    if (!matches(readable(base))) continue;
    const name = inside(path, base);
    if (rest.length === 0) {
      walk.found.push(name);
      continue;
    }
    using child = directory.openDirectory(base);
    if (child !== null) collect(child, name, rest, walk);
  }
}
