/** Paths of an overlay's layers, told below an open descriptor of the directory that holds them all. */
import { constants, openSync } from 'node:fs';
import { posix } from 'node:path';
import { viaNode, withFd } from './libc.ts';

const O_PATH = 0o10000000;
const LAYER_WORD = /^(lowerdir|upperdir|workdir)=(.*)$/s;

/** The paths in an option word; none where it names no layers. */
export function layersIn(word: string): readonly string[] {
  const [, key, value = ''] = LAYER_WORD.exec(word) ?? [];
  if (key === undefined) return [];
  return key === 'lowerdir' ? value.split(':') : [value];
}

/** The deepest directory that holds all of `paths` and is none of them. */
export function commonDirectory(paths: readonly string[]): string {
  const [first = [], ...rest] = paths.map((path) => posix.dirname(path).split('/'));
  const common = rest.reduce((parts, other) => {
    const apart = parts.findIndex((part, index) => part !== other[index]);
    return apart < 0 ? parts : parts.slice(0, apart);
  }, first);
  return common.length > 1 ? common.join('/') : '/';
}

/** An option word with the paths of its layers, which lie below `from`, put below `to`. */
export function rebased(word: string, from: string, to: string): string {
  const [, key] = LAYER_WORD.exec(word) ?? [];
  if (key === undefined) return word;
  const prefix = from === '/' ? '' : from;
  return `${key}=${layersIn(word)
    .map((path) => to + path.slice(prefix.length))
    .join(':')}`;
}

/**
 * Runs `job` with the shortest words for the same lower layers: `/proc/self/fd/23/AAAAAAAA` in place of the whole path. As
 * short as dockerd's, which changes its working directory for it.
 */
export function withShortLayers<T>(words: readonly string[], job: (words: readonly string[]) => T): T {
  const isLower = (word: string): boolean => word.startsWith('lowerdir=');
  const common = commonDirectory(words.filter(isLower).flatMap(layersIn));
  const directory = viaNode('open', common, () => openSync(common, O_PATH | constants.O_DIRECTORY));
  return withFd(directory, (fd) =>
    job(words.map((word) => (isLower(word) ? rebased(word, common, `/proc/self/fd/${String(fd)}`) : word))),
  );
}
