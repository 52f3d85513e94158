import {
  chmodSync,
  mkdtempSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDiskFull } from '../../../base/errno-text.ts';
import { errnoCodeOf, messageOf } from '../../../base/errors.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { backingFilesystem } from '../backing.ts';
import { OVERLAY_MARKS } from '../overlay-marks.ts';

/** What overlayfs can do in a directory. */
export interface OverlaySupport {
  /** In the words of `docker info`. */
  readonly backingFilesystem: string;
  /** Options every overlay mount gets, so that the kernel's defaults do not change what lies in the layers. */
  readonly mountOptions: readonly string[];
}

/** Answer of {@link probeOverlay2}. */
export type OverlayProbe =
  { readonly works: true; readonly support: OverlaySupport } | { readonly works: false; readonly reason: string };

const SCRATCH = '.probe-';
const CONTENT = 'content';
const PARAMETERS = '/sys/module/overlay/parameters';
/** On these Docker refuses overlay2: the kernel does too, or deletes files wrongly. */
const REFUSED = new Set(['aufs', 'ecryptfs', 'nfs', 'overlayfs', 'zfs']);

/**
 * Tries overlayfs below `directory` (made when it is missing) by mounting once and deleting a file through the mount.
 * Never throws for what the kernel refuses: the reason is the answer. Leaves nothing behind, nor what a killed one has left.
 */
export async function probeOverlay2(kernel: Kernel, directory: string): Promise<OverlayProbe> {
  await mkdir(directory, { recursive: true, mode: 0o710 });
  const backing = await backingFilesystem(directory);
  if (REFUSED.has(backing)) {
    return {
      works: false,
      reason: `overlay2 is not supported over ${backing}, backing file system is unsupported for this graph driver`,
    };
  }
  takeAwayLeft(kernel, directory);
  const mountOptions = steadyOptions();
  const problem = whatFails(kernel, directory, mountOptions);
  if (problem !== null) return { works: false, reason: problem };
  return { works: true, support: { backingFilesystem: backing, mountOptions } };
}

/** What does not go now stays for the next one to try. */
function takeAwayLeft(kernel: Kernel, directory: string): void {
  try {
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(SCRATCH)) continue;
      const left = join(directory, name);
      for (const path of kernel.mounts.listBelow(left)) kernel.mounts.unmount(path, { lazy: true });
      rmSync(left, { recursive: true, force: true });
    }
  } catch {
    // A disk that fails, or is read-only, says so to whoever needs it.
  }
}

/** Null also where the disk is too full to find out, which says nothing of the kernel: the engine must come up there, so that things can be removed. */
function whatFails(kernel: Kernel, directory: string, mountOptions: readonly string[]): string | null {
  let scratch: string | null = null;
  try {
    scratch = mkdtempSync(join(directory, SCRATCH));
    return tryMount(kernel, scratch, mountOptions);
  } catch (error) {
    if (isDiskFull(error) || (scratch !== null && isFull(scratch))) return null;
    return `failed to mount overlay: ${messageOf(error)}`;
  } finally {
    if (scratch !== null) rmSync(scratch, { recursive: true, force: true });
  }
}

/** Overlayfs that has no room for its own directories is there, and read-only. */
function isFull(directory: string): boolean {
  try {
    mkdtempSync(join(directory, 'room-'));
    return false;
  } catch (error) {
    return isDiskFull(error);
  }
}

/**
 * `index=off` as dockerd: with it a lower layer in two mounts is refused as busy. Redirects and metadata-only copies,
 * where the kernel has them on, would put into upper directories what no other engine can read.
 */
function steadyOptions(): readonly string[] {
  const options: string[] = [...OVERLAY_MARKS.mountOptions];
  if (parameter('index') !== null) options.push('index=off');
  if (parameter('redirect_dir') === 'Y') options.push('redirect_dir=off');
  if (parameter('metacopy') === 'Y') options.push('metacopy=off');
  return options;
}

/** Null when the kernel does not have the parameter. */
function parameter(name: string): string | null {
  try {
    return readFileSync(join(PARAMETERS, name), 'utf8').trim();
  } catch {
    return null;
  }
}

/** What does not work, or null. Throws what the mount throws. */
function tryMount(kernel: Kernel, scratch: string, mountOptions: readonly string[]): string | null {
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [lower, upper, work, merged]) mkdirSync(path);
  writeFileSync(join(lower, 'file'), '');
  const hasRoom = wroteContent(join(lower, 'kept'));
  mkdirSync(join(lower, 'directory'));
  const directories = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  kernel.mounts.mount({ type: 'overlay', source: 'overlay', options: [...mountOptions, ...directories] }, merged);
  try {
    unlinkSync(join(merged, 'file'));
    // Without file types in directory entries the kernel cannot tell a whiteout and shows it.
    if (readdirSync(merged).includes('file'))
      return 'overlay2: the backing file system does not support d_type (an xfs must be made with ftype=1)';
    return hasRoom ? whatStaysBelow(merged, upper) : null;
  } finally {
    kernel.mounts.unmount(merged);
  }
}

/** False on a full disk: it has directories without room for content. */
function wroteContent(path: string): boolean {
  try {
    writeFileSync(path, CONTENT);
    return true;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOSPC') return false;
    throw error;
  }
}

/**
 * What `docker info` calls `Using metacopy` and `Native Overlay Diff`, tried: with either the other way round a container's
 * own directory lacks files, and no layer could be made of it.
 */
function whatStaysBelow(merged: string, upper: string): string | null {
  try {
    chmodSync(join(merged, 'kept'), 0o600);
  } catch (error) {
    // As above: copying up needs room, too.
    if (errnoCodeOf(error) === 'ENOSPC') return null;
    throw error;
  }
  if (readFileSync(join(upper, 'kept'), 'utf8') !== CONTENT)
    return 'overlay2: this kernel copies up without content (metacopy), and cannot be told not to';
  try {
    renameSync(join(merged, 'directory'), join(merged, 'renamed'));
  } catch (error) {
    // Programs copy the directory then.
    if (errnoCodeOf(error) === 'EXDEV') return null;
    throw error;
  }
  return 'overlay2: this kernel renames directories without their content (redirect_dir), and cannot be told not to';
}
