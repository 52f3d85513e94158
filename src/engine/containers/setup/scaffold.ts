import type { FileCalls } from '../../kernel/files.ts';
import { makeDirectoryBeneath, makeFileBeneath, makeLinkBeneath } from './beneath.ts';

/** By this file programs know that they are in a container of Docker's kind. */
const MARK = '/.dockerenv';
/** What the three files of a container are mounted on. */
const FILES = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];
/** Where old programs look for what is mounted; a link of ours, which is no data of the container. */
export const MOUNT_TABLE = '/etc/mtab';

/**
 * What a start puts into the root for the sake of mounts and programs: the engine's and the runtime's, not the
 * container's. It is left out of commits and lists of changes where nothing else is there.
 */
export const SCAFFOLD: readonly string[] = [
  MARK,
  '/dev/console',
  '/dev/mqueue',
  '/dev/pts',
  '/dev/shm',
  '/dev',
  ...FILES,
  MOUNT_TABLE,
  '/proc',
  '/sys',
];

/** Makes the part of it that is the engine's, with the modes that dockerd gives it; what the image has is left. */
export function makeScaffold(files: Pick<FileCalls, 'openBeneath'>, root: string): void {
  makeDirectoryBeneath(files, root, '/etc');
  // Which the runtime would make with a sticky bit, for exports to show.
  makeDirectoryBeneath(files, root, '/dev');
  for (const path of [MARK, ...FILES]) makeFileBeneath(files, root, path);
  makeLinkBeneath(files, root, MOUNT_TABLE, '/proc/mounts');
}
