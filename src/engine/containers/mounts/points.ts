import { statSync } from 'node:fs';
import { posix } from 'node:path';
import type { FileCalls } from '../../kernel/files.ts';
import { makeDirectoryBeneath, makeFileBeneath } from '../setup/beneath.ts';
import type { ResolvedMount } from '../spec/input.ts';

/** Mounted by the runtime before anything else: what is to lie in them is made there, not in the root. */
const RUNTIMES_OWN = ['/dev', '/proc', '/sys'];

/**
 * Makes what the container's mounts need in its root, as dockerd does (0755, owned by root): runtimes make it with modes
 * of their own, which a commit would keep. What lies in another mount is left to the runtime.
 */
export function makeMountPoints(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string,
  mounts: readonly ResolvedMount[],
): void {
  const covered = [...RUNTIMES_OWN, ...mounts.map(({ destination }) => destination)];
  for (const { destination, mount } of mounts) {
    if (destination === '/' || covered.some((above) => destination.startsWith(`${above}/`))) continue;
    if (mount.type === 'bind' && !statSync(mount.source).isDirectory()) {
      makeDirectoryBeneath(files, root, posix.dirname(destination));
      makeFileBeneath(files, root, destination);
    } else {
      makeDirectoryBeneath(files, root, destination);
    }
  }
}
