/** Options of a tmpfs as Docker merges and refuses them (moby's `MergeTmpfsOptions`). */
import { InvalidArgumentError } from '../../../base/errors.ts';

/** Words that undo each other: the last one of a pair wins. */
const OPPOSITES: readonly (readonly [string, string])[] = [
  ['ro', 'rw'],
  ['nosuid', 'suid'],
  ['nodev', 'dev'],
  ['noexec', 'exec'],
  ['sync', 'async'],
  ['noatime', 'atime'],
  ['nodiratime', 'diratime'],
  ['relatime', 'norelatime'],
  ['strictatime', 'nostrictatime'],
];
const FLAGS = new Set([
  ...OPPOSITES.flat(),
  ...['defaults', 'dirsync', 'remount', 'mand', 'nomand', 'bind', 'rbind', 'unbindable', 'runbindable'],
  ...['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'],
]);
const VALUED = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol']);

/** The words less those that a later one undoes. InvalidArgumentError `invalid tmpfs option ["…"]`. */
export function mergeTmpfsOptions(words: readonly string[]): readonly string[] {
  const kept: string[] = [];
  const seen = new Set<string>();
  for (const word of words.toReversed()) {
    const kind = kindOf(word);
    if (seen.has(kind)) continue;
    seen.add(kind);
    if (word !== 'defaults') kept.unshift(word);
  }
  return kept;
}

function kindOf(word: string): string {
  const cut = word.indexOf('=');
  const key = cut < 0 ? word : word.slice(0, cut);
  if (cut < 0 ? FLAGS.has(word) : VALUED.has(key)) {
    return OPPOSITES.find((pair) => pair.includes(key))?.[0] ?? key;
  }
  const parts = cut < 0 ? [word] : [key, word.slice(cut + 1)];
  throw new InvalidArgumentError(`invalid tmpfs option [${parts.map((part) => JSON.stringify(part)).join(' ')}]`);
}
