/** fstab words to mount(2) flags and back to what fsmount(2) wants, as util-linux's mount(8) has them. Pure. */

export const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
const MS_MANDLOCK = 64;
const MS_DIRSYNC = 128;
const MS_NOSYMFOLLOW = 256;
const MS_NOATIME = 1024;
const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
const MS_MOVE = 8192;
export const MS_REC = 16384;
const MS_SILENT = 32768;
const MS_UNBINDABLE = 1 << 17;
const MS_PRIVATE = 1 << 18;
const MS_SLAVE = 1 << 19;
const MS_SHARED = 1 << 20;
const MS_RELATIME = 1 << 21;
const MS_I_VERSION = 1 << 23;
const MS_STRICTATIME = 1 << 24;
const MS_LAZYTIME = 1 << 25;

/** Flags that belong to one mount and not to its superblock: what a bind mount can differ in. */
const PER_MOUNT =
  MS_RDONLY |
  MS_NOSUID |
  MS_NODEV |
  MS_NOEXEC |
  MS_NOSYMFOLLOW |
  MS_NOATIME |
  MS_NODIRATIME |
  MS_RELATIME |
  MS_STRICTATIME;
const ATIME = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

/** Words that set a flag, and words that clear one. */
const SETS: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  remount: MS_REMOUNT,
  mand: MS_MANDLOCK,
  dirsync: MS_DIRSYNC,
  nosymfollow: MS_NOSYMFOLLOW,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
  move: MS_MOVE,
  silent: MS_SILENT,
  relatime: MS_RELATIME,
  iversion: MS_I_VERSION,
  strictatime: MS_STRICTATIME,
  lazytime: MS_LAZYTIME,
};
const CLEARS: Readonly<Record<string, number>> = {
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  nomand: MS_MANDLOCK,
  symfollow: MS_NOSYMFOLLOW,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  loud: MS_SILENT,
  norelatime: MS_RELATIME,
  noiversion: MS_I_VERSION,
  nostrictatime: MS_STRICTATIME,
  nolazytime: MS_LAZYTIME,
};
const PROPAGATION: Readonly<Record<string, number>> = {
  unbindable: MS_UNBINDABLE,
  private: MS_PRIVATE,
  slave: MS_SLAVE,
  shared: MS_SHARED,
  runbindable: MS_UNBINDABLE | MS_REC,
  rprivate: MS_PRIVATE | MS_REC,
  rslave: MS_SLAVE | MS_REC,
  rshared: MS_SHARED | MS_REC,
};
/** Words for mount(8) and systemd only; no file system knows them. */
const USERLAND = /^(?:defaults|auto|noauto|user|nouser|users|owner|group|nofail|_netdev|(?:x-|X-|comment=).*)$/;

/** What a list of option words asks for. */
export interface MountOptions {
  /** mount(2) flags, without propagation. */
  readonly flags: number;
  /** Flags that a word asked to be off (`rw`, `exec` …). */
  readonly cleared: number;
  /** Flags of the propagation changes, in order: each is a mount(2) call of its own. */
  readonly propagation: readonly number[];
  /** What the file system itself is told. */
  readonly data: readonly string[];
}

/** Sorts option words by who takes them. A later word wins over an earlier one. */
export function parseMountOptions(words: readonly string[]): MountOptions {
  let flags = 0;
  let cleared = 0;
  const propagation: number[] = [];
  const data: string[] = [];
  for (const word of words) {
    const set = lookUp(SETS, word);
    const clear = lookUp(CLEARS, word);
    const change = lookUp(PROPAGATION, word);
    if (set !== null) {
      // The three ways to keep access times exclude each other.
      flags = (set & ATIME ? flags & ~ATIME : flags) | set;
      cleared &= ~set;
    } else if (clear !== null) {
      flags &= ~clear;
      cleared |= clear;
    } else if (change !== null) {
      propagation.push(change);
    } else if (word !== '' && !USERLAND.test(word)) {
      data.push(word);
    }
  }
  return { flags, cleared, propagation, data };
}

/** Own keys only: `constructor` is no mount option. */
function lookUp(table: Readonly<Record<string, number>>, word: string): number | null {
  return Object.hasOwn(table, word) ? (table[word] ?? null) : null;
}

/**
 * Flags for `remount,bind` of a fresh bind mount that now has `current` (as statvfs(3) tells), or null when nothing is
 * to be changed. What the source has stays, unless a word clears it: dropping `nodev` by accident would be a hole, and
 * in a user namespace those flags are locked.
 */
export function bindRemountFlags(options: MountOptions, statvfsFlags: number): number | null {
  const current = fromStatvfs(statvfsFlags);
  const wanted = options.flags & PER_MOUNT;
  const kept = wanted & ATIME ? current & ~ATIME : current;
  const result = (kept & ~(options.cleared & PER_MOUNT)) | wanted;
  return result === current ? null : result | MS_BIND | MS_REMOUNT;
}

/** ST_* of statvfs(3) are MS_* but for relatime and nosymfollow. */
function fromStatvfs(flags: number): number {
  const same = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
  return same | (flags & 4096 ? MS_RELATIME : 0) | (flags & 8192 ? MS_NOSYMFOLLOW : 0);
}

/** MOUNT_ATTR_* for fsmount(2). */
export function mountAttributes(flags: number): number {
  let attributes = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  if (flags & MS_NOATIME) attributes |= 0x10;
  if (flags & MS_STRICTATIME) attributes |= 0x20;
  if (flags & MS_NODIRATIME) attributes |= 0x80;
  if (flags & MS_NOSYMFOLLOW) attributes |= 0x200000;
  return attributes;
}

/** Words for fsconfig(2) that mount(2) has as superblock flags. */
export function superblockWords(flags: number): readonly string[] {
  const words: string[] = [];
  if (flags & MS_RDONLY) words.push('ro');
  if (flags & MS_SYNCHRONOUS) words.push('sync');
  if (flags & MS_DIRSYNC) words.push('dirsync');
  if (flags & MS_LAZYTIME) words.push('lazytime');
  return words;
}

/**
 * Overlay's option words as single fsconfig(2) settings: `lowerdir=a:b` becomes `lowerdir+` twice, because one setting
 * holds at most 255 bytes. In `lowerdir=` a backslash escapes the next character; in `lowerdir+` nothing is escaped.
 */
export function splitOverlayLayers(words: readonly string[]): readonly (readonly [string, string | null])[] {
  return words.flatMap((word): (readonly [string, string | null])[] => {
    const equals = word.indexOf('=');
    if (equals === -1) return [[word, null]];
    const key = word.slice(0, equals);
    const value = word.slice(equals + 1);
    if (key !== 'lowerdir') return [[key, value]];
    const layers = value.match(/(?:\\.|[^\\:])+/gs) ?? [];
    return layers.map((layer) => ['lowerdir+', layer.replaceAll(/\\(.)/gs, '$1')] as const);
  });
}
