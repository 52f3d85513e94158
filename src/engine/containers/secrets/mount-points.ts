/**
 * What secrets are mounted on in a container's root is made there for the time of a run. That it was the engine who made
 * it is written down before: no commit, export or list of changes shows it, and the end of the run takes it away.
 */
import { lstatSync, rmdirSync, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import { holdsBeneath, openDirectoryBeneath, pathAt } from '../setup/beneath.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { SCAFFOLD } from '../setup/scaffold.ts';
import type { ResolvedMount } from '../spec/input.ts';

/** Notes what the secrets' mounts lack in the root and that the engine is about to make. */
export function noteMountPoints(
  room: Room,
  container: Container,
  { secrets, mounts }: { readonly secrets: readonly ResolvedMount[]; readonly mounts: readonly ResolvedMount[] },
): void {
  if (secrets.length === 0) return;
  const before = container.live.secretPoints ?? [];
  const others = mounts.filter((mount) => !secrets.includes(mount)).map(({ destination }) => destination);
  const wanted = secrets
    .map(({ destination }) => destination)
    // What lies in another mount is no part of the root.
    .filter((path) => !others.some((above) => path.startsWith(`${above}/`)))
    .flatMap(withAncestors);
  const missing = wanted.filter((path) => !holdsBeneath(room.files, container.paths.rootfs, path));
  const points = [...new Set([...before, ...missing])];
  if (points.length > before.length) container.update({ secretPoints: points });
}

/** Takes away what was made and is still empty; nothing while the root is not mounted. The container has no process. */
export function removeMountPoints(room: Room, container: Container): void {
  const points = container.live.secretPoints ?? [];
  // A step's are told from its changes when those become a layer, with the directories that they are in.
  if (container.document.isStep === true) return;
  if (points.length === 0 || room.kernel.mounts.listBelow(container.paths.rootfs).length === 0) return;
  for (const path of [...points].sort((a, b) => b.split('/').length - a.split('/').length)) {
    removeEmpty(room, container.paths.rootfs, path);
  }
  container.update({ secretPoints: [] });
}

/** What is no change of the container's own. */
export function scaffoldOf({ live }: Container): readonly string[] {
  return [...SCAFFOLD, ...(live.secretPoints ?? [])];
}

/** `/run/secrets/x` with `/run/secrets` and `/run`. */
function withAncestors(path: string): readonly string[] {
  const above = posix.dirname(path);
  return above === '/' ? [path] : [...withAncestors(above), path];
}

function removeEmpty(room: Room, root: string, path: string): void {
  using directory = openDirectoryBeneath(room.files, root, posix.dirname(path));
  if (directory === null) return;
  const place = pathAt(directory.fd, posix.basename(path));
  try {
    rmdirSync(place);
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOTDIR') removeEmptyFile(place);
    else if (code !== 'ENOENT' && code !== 'ENOTEMPTY') throw error;
  }
}

function removeEmptyFile(place: string): void {
  const info = lstatSync(place);
  if (info.isFile() && info.size === 0) unlinkSync(place);
}
