import { readdirSync, readFileSync, statSync } from 'node:fs';
import { errnoCodeOf } from '../base/errors.ts';

/** Where configuration files are read from: the disk, or a proposal that is not written yet. */
export interface ConfigFiles {
  /** Content; null when there is no such file. Throws what the system said otherwise. */
  read(path: string): Buffer | null;
  /** Names in a directory, in no order; empty when there is no such directory. */
  list(directory: string): readonly string[];
}

/** The files of this host. */
export const HOST_FILES: ConfigFiles = Object.freeze({
  read: (path: string) => unlessMissing(() => readWhole(path), null),
  list: (directory: string) => unlessMissing(() => readdirSync(directory), []),
});

/** The files of the host with some replaced (or, by null, taken away): what would the daemon make of these? */
export function proposedFiles(
  changes: ReadonlyMap<string, Buffer | null>,
  below: ConfigFiles = HOST_FILES,
): ConfigFiles {
  return Object.freeze({
    read: (path: string) => {
      const change = changes.get(path);
      return change === undefined ? below.read(path) : change;
    },
    list: (directory: string) => {
      const names = new Set(below.list(directory));
      for (const [path, content] of changes) {
        const cut = path.lastIndexOf('/');
        if (path.slice(0, cut) !== directory) continue;
        if (content === null) names.delete(path.slice(cut + 1));
        else names.add(path.slice(cut + 1));
      }
      return [...names];
    },
  });
}

/** A pipe without a writer would hold the whole engine, which reads at each change of the file. */
function readWhole(path: string): Buffer {
  if (statSync(path).isFIFO()) throw new Error('is a named pipe');
  return readFileSync(path);
}

/** What `read` gives; `missing` when what it reads is not there. */
export function unlessMissing<Result>(read: () => Result, missing: Result): Result {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoCodeOf(error) ?? '')) return missing;
    throw error;
  }
}
