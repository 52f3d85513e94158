/**
 * Filling a new volume with what the image has at its target, as Docker does.
 *
 * The copy is made beside the volume, where no container can reach into it, and committed by one rename
 * (`.filling` → `.filled`); only then its entries are moved in. What a daemon killed in between has begun is finished for
 * the volume's next container. The image's tree is read by opened directories without following links, so it cannot lead out of the root.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { chmod, copyFile, lchown, link, mkdir, rename, rm, rmdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { openDirectoryBeneath, pathAt } from '../setup/beneath.ts';

type CopyFiles = Pick<FileCalls, 'openBeneath' | 'mknod' | 'listXattrs' | 'getXattr' | 'setXattr' | 'setTimes'>;

const FILLING = '.filling';
const FILLED = '.filled';
const PERMISSIONS = 0o7777;

/** What is to be filled. */
export interface VolumeToFill {
  readonly path: string;
  /** A file system of its own, so that the copy has to be made inside. */
  readonly isMounted: boolean;
  /** Its own owner and mode stay; all else gets those of the image's directory. */
  readonly keepsOwner: boolean;
}

/** False where {@link fillVolume} would do nothing, whatever the image has. */
export function canBeFilled(volume: VolumeToFill): boolean {
  return exists(filledOf(volume)) || isEmpty(volume);
}

/**
 * Fills the volume directory from `target` inside `rootfs` when the volume is empty and the image has a directory there.
 * Idempotent; the caller holds the volume's lock.
 */
export async function fillVolume(
  files: CopyFiles,
  source: { readonly rootfs: string; readonly target: string },
  volume: VolumeToFill,
): Promise<void> {
  const filled = filledOf(volume);
  if (exists(filled)) {
    await moveEntries(files, filled, volume);
    return;
  }
  if (!isEmpty(volume)) return;
  using tree = openDirectoryBeneath(files, source.rootfs, source.target);
  if (tree === null) return;
  const filling = join(dirname(filled), FILLING);
  await rm(filling, { recursive: true, force: true });
  await mkdir(filling);
  await copyDirectory({ files, links: new Map() }, tree.fd, filling);
  await copyAttributes(files, pathAt(tree.fd, '.'), filling);
  await rename(filling, filled);
  await moveEntries(files, filled, volume);
}

function filledOf({ path, isMounted }: VolumeToFill): string {
  return join(isMounted ? path : dirname(path), FILLED);
}

function isEmpty({ path }: VolumeToFill): boolean {
  return readdirSync(path).every((name) => name === FILLING);
}

async function moveEntries(files: CopyFiles, filled: string, { path, keepsOwner }: VolumeToFill): Promise<void> {
  for (const name of readdirSync(filled)) await rename(join(filled, name), join(path, name));
  if (!keepsOwner) await copyAttributes(files, filled, path);
  await rmdir(filled);
}

interface Copy {
  readonly files: CopyFiles;
  /** Where a file with several names was copied first, by device and inode. */
  readonly links: Map<string, string>;
}

async function copyDirectory(copy: Copy, from: Fd, to: string): Promise<void> {
  for (const name of readdirSync(pathAt(from, '.'))) {
    const source = pathAt(from, name);
    const target = join(to, name);
    const info = lstatSync(source, { bigint: true });
    await copyEntry(copy, info, source, target);
    if (info.isFile() && copy.links.get(keyOf(info)) !== target && info.nlink > 1n) continue;
    await copyAttributes(copy.files, source, target);
  }
}

async function copyEntry(copy: Copy, info: BigIntStats, source: string, target: string): Promise<void> {
  if (info.isDirectory()) {
    const inner = openSync(source, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW) as Fd;
    try {
      await mkdir(target);
      await copyDirectory(copy, inner, target);
    } finally {
      closeSync(inner);
    }
  } else if (info.isSymbolicLink()) {
    await symlink(readlinkSync(source), target);
  } else if (info.isFile()) {
    await copyRegular(copy, info, source, target);
  } else {
    copy.files.mknod(target, Number(info.mode), info.rdev);
  }
}

async function copyRegular(copy: Copy, info: BigIntStats, source: string, target: string): Promise<void> {
  const first = copy.links.get(keyOf(info));
  if (first !== undefined) {
    await link(first, target);
    return;
  }
  copy.links.set(keyOf(info), target);
  const fd = openSync(source, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await copyFile(`/proc/self/fd/${String(fd)}`, target, constants.COPYFILE_FICLONE);
  } finally {
    closeSync(fd);
  }
}

/** Owner, mode, attributes and times of `source`, itself and not what it points to. */
async function copyAttributes(files: CopyFiles, source: string, target: string): Promise<void> {
  const info = lstatSync(source, { bigint: true });
  await lchown(target, Number(info.uid), Number(info.gid));
  if (!info.isSymbolicLink()) await chmod(target, Number(info.mode) & PERMISSIONS);
  for (const name of files.listXattrs(source)) {
    // The overlay's own marks belong to the layer, not to its content.
    if (name.startsWith('trusted.') || name.startsWith('user.overlay.')) continue;
    const value = files.getXattr(source, name);
    if (value !== null) files.setXattr(target, name, value);
  }
  files.setTimes(target, info.atimeNs, info.mtimeNs);
}

function keyOf(info: BigIntStats): string {
  return `${String(info.dev)}:${String(info.ino)}`;
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
