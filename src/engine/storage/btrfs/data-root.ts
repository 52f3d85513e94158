/**
 * The data root on Btrfs: a subvolume of its own, so that snapshots of the system (snapper's) leave images and containers
 * out: else they keep the space of all that was deleted since, and a rollback takes the engine's state back with it.
 */
import { chmod, chown, lstat, mkdir, readdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { BtrfsCalls } from '../../kernel/btrfs.ts';

/** Of a data root that nobody has made; its parent and those above are made with it. */
const MODE = 0o710;

/**
 * Makes a subvolume at `path`, whose file system is Btrfs, where there is nothing, or an empty directory (a package's, whose
 * owner and mode it takes over). What else is there stays as it is. KernelError.
 */
export async function makeOwnSubvolume(path: string, calls: BtrfsCalls): Promise<void> {
  if ((await calls.look(path)) !== null) return;
  const found = await lstat(path).catch(absent);
  if (found === null) {
    await mkdir(dirname(path), { recursive: true });
    await calls.create(path);
    await chmod(path, MODE);
    return;
  }
  if (!found.isDirectory() || (await readdir(path)).length > 0) return;
  // Fails, and leaves all as it is, for a mount point. Whoever is killed before the next step finds nothing here.
  await rmdir(path);
  const placed = { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
  try {
    await calls.create(path);
  } catch (error) {
    await mkdir(path);
    await settle(path, placed);
    throw error;
  }
  await settle(path, placed);
}

async function settle(path: string, to: { readonly mode: number; readonly uid: number; readonly gid: number }) {
  await chown(path, to.uid, to.gid);
  await chmod(path, to.mode);
}

/** What is known about where the data root lies. */
export interface DataRootFacts {
  readonly path: string;
  readonly isSubvolume: boolean;
  /** Text of /proc/self/mountinfo. */
  readonly mountinfo: string;
}

/** What an administrator should do about a data root on Btrfs, in words; null when it lies well. */
export function dataRootAdvice({ path, isSubvolume, mountinfo }: DataRootFacts): string | null {
  if (!isSubvolume) {
    return (
      `${path} is a directory and not a Btrfs subvolume of its own: snapshots of the subvolume that it lies in (snapper's) ` +
      'keep the space of deleted images and containers, and a rollback takes the state of the engine back with it'
    );
  }
  const mount = mountOf(path, mountinfo);
  if (mount === null || mount.point === path || !SNAPPER_SNAPSHOT.test(mount.root)) return null;
  return (
    `${path} is a subvolume inside of the system's current snapshot (${mount.root}): after a rollback of the system it is ` +
    'left behind there, and keeps that snapshot from being deleted; let "mksubvolume" of snapper make it, or mount it by /etc/fstab'
  );
}

/** Where snapper keeps a root file system that can be rolled back. */
const SNAPPER_SNAPSHOT = /\/\.snapshots\/\d+\/snapshot$/;

interface MountPlace {
  readonly point: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
}

/** The mount that a path lies on; of two at one place the later covers the other. */
function mountOf(path: string, mountinfo: string): MountPlace | null {
  let nearest: MountPlace | null = null;
  for (const line of mountinfo.split('\n')) {
    const [, , , root, point] = line.split(' ', 5);
    if (root === undefined || point === undefined) continue;
    const covers = point === '/' || path === point || path.startsWith(`${point}/`);
    if (covers && point.length >= (nearest?.point.length ?? 0)) nearest = { point, root };
  }
  return nearest;
}

function absent(error: unknown): null {
  if (errnoCodeOf(error) === 'ENOENT') return null;
  throw error;
}
