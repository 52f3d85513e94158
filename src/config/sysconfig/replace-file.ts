import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoCodeOf } from '../../base/errors.ts';

/** What replacing a file does to the disk, one verb each, so that a test can fail any of them. */
export interface FileEffects {
  /** Where a symbolic link points; null for what is none, or not there. */
  readLink(path: string): string | null;
  /** Null when there is no such file. */
  stat(path: string): { readonly mode: number; readonly uid: number; readonly gid: number } | null;
  /** Makes a file that was not there before, for its owner alone. */
  create(path: string): number;
  write(fd: number, content: Uint8Array): void;
  setOwner(fd: number, uid: number, gid: number): void;
  setMode(fd: number, mode: number): void;
  /** Extended attributes: access lists, labels. */
  copyAttributes(from: string, to: string): void;
  sync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
  syncDirectory(path: string): void;
  remove(path: string): void;
}

export interface ReplaceFileOptions {
  readonly effects?: FileEffects;
  /** Permissions of a file that was not there before; 0644, as sysconfig files are shipped. */
  readonly newFileMode?: number;
}

/**
 * Replaces a file's content at once: whoever reads sees the old or the new, also after a power cut. Mode, owner and
 * extended attributes stay; behind a symbolic link it is the target that is replaced. When it throws (a Node system
 * error), the file is as it was; only when making the rename itself durable failed it has the new content already.
 */
export function replaceFile(path: string, content: Uint8Array, options: ReplaceFileOptions = {}): void {
  const { effects = HOST_EFFECTS, newFileMode = NEW_FILE_MODE } = options;
  const target = followLinks(path, effects);
  const before = effects.stat(target);
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.new`);
  try {
    const fd = effects.create(temporary);
    try {
      effects.write(fd, content);
      if (before !== null) effects.setOwner(fd, before.uid, before.gid);
      effects.setMode(fd, before === null ? newFileMode : before.mode & 0o7777);
      if (before !== null) effects.copyAttributes(target, temporary);
      effects.sync(fd);
    } finally {
      effects.close(fd);
    }
    effects.rename(temporary, target);
  } catch (error) {
    removeQuietly(temporary, effects);
    throw error;
  }
  effects.syncDirectory(dirname(target));
}

/** The disk of this host; extended attributes are a matter of the kernel, which the composition root adds. */
export const HOST_EFFECTS: FileEffects = Object.freeze({
  readLink: (path: string) => orNull(() => readlinkSync(path), ['EINVAL', 'ENOENT', 'ENOTDIR']),
  stat: (path: string) => orNull(() => statSync(path), ['ENOENT', 'ENOTDIR']),
  create: (path: string) => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600),
  write: (fd: number, content: Uint8Array) => writeFileSync(fd, content),
  setOwner: (fd: number, uid: number, gid: number) => fchownSync(fd, uid, gid),
  setMode: (fd: number, mode: number) => fchmodSync(fd, mode),
  copyAttributes: () => undefined,
  sync: (fd: number) => fsyncSync(fd),
  close: (fd: number) => closeSync(fd),
  rename: (from: string, to: string) => renameSync(from, to),
  syncDirectory: (path: string) => {
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  remove: (path: string) => unlinkSync(path),
});

const NEW_FILE_MODE = 0o644;
/** The kernel's own bound. */
const MAX_LINKS = 40;

function followLinks(path: string, effects: FileEffects): string {
  let target = resolve(path);
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const next = effects.readLink(target);
    if (next === null) return target;
    target = resolve(dirname(target), next);
  }
  throw Object.assign(new Error(`ELOOP: too many symbolic links encountered, readlink '${path}'`), { code: 'ELOOP' });
}

function removeQuietly(path: string, effects: FileEffects): void {
  try {
    effects.remove(path);
  } catch {
    // It was never made, or the disk is beyond help; the first error is what counts.
  }
}

function orNull<Result>(action: () => Result, codes: readonly string[]): Result | null {
  try {
    return action();
  } catch (error) {
    if (codes.includes(errnoCodeOf(error) ?? '')) return null;
    throw error;
  }
}
