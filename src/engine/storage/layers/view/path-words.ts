/** What Go's `filepath` and dockerd's helpers make of a path that a client gives. Pure. */
import { posix } from 'node:path';

/** A path inside the root as dockerd reads it. */
export interface AskedPath {
  /** Absolute and clean. */
  readonly path: string;
  /** It ended in `/` or `/.`: a directory is meant, and a link is followed. */
  readonly wantsDirectory: boolean;
  /** Last part: the name that the archive's top entry has; `.` for contents, `/` for the root. */
  readonly base: string;
}

/** `filepath.Join("/", path)`, with the trailing separator or dot kept (`PreserveTrailingDotOrSeparator`). */
export function askedPath(given: string): AskedPath {
  const clean = posix.normalize(`/${given}`).replace(/(.)\/+$/, '$1');
  const isContents = given === '.' || given.endsWith('/.');
  const wantsDirectory = isContents || given.endsWith('/') || given === '';
  const base = isContents ? '.' : clean === '/' ? '/' : posix.basename(clean);
  return { path: clean, wantsDirectory, base };
}
