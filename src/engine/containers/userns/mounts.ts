/**
 * What a container in a user namespace has of files: they lie on the disk with the ids that they have inside, whoever
 * runs there, and are mapped where they are mounted. See docs/decisions/0103.
 */
import { chmodSync, chownSync, closeSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InternalError, messageOf } from '../../../base/errors.ts';
import type { Undo } from '../../../base/undo.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { idOnHost, type IdMapping, type LinuxIdMapping } from '../../oci/id-mapping.ts';
import type { Mount } from '../../oci/mount.ts';
import type { Container } from '../container.ts';
import { rootMounts } from '../mounts/snapshots.ts';
import type { Room } from '../room.ts';
import type { ResolvedMount } from '../spec/input.ts';

/**
 * An overlay's own files (whiteouts, its work directory) are made by us, root of the host, who must be somebody on the
 * mapped disk. Nobody of the image or the container is this one.
 */
const MOUNTER: LinuxIdMapping = { containerID: 4_294_967_294, hostID: 0, size: 1 };

/** The mapping for mounts: as inside, and the mounter. Never a container's own: host's root would be in it. */
export function forMounts({ uids, gids }: IdMapping): IdMapping {
  return { uids: [...uids, MOUNTER], gids: [...gids, MOUNTER] };
}

/** The host's ids of root inside. InternalError when there is none. */
export function rootOf({ uids, gids }: IdMapping): { readonly uid: number; readonly gid: number } {
  const [uid, gid] = [idOnHost(uids, 0), idOnHost(gids, 0)];
  if (uid === null || gid === null) throw new InternalError('the user namespace has no root');
  return { uid, gid };
}

/**
 * Lets the container's root, and nobody else, through to what is mounted for it: it is an ordinary user of the host.
 * The directories above are opened to all for passing, not for looking.
 */
export function openTheWay(container: Container, mapping: IdMapping): void {
  const { gid } = rootOf(mapping);
  const { directory, bundle } = container.paths;
  for (const path of [directory, bundle]) {
    mkdirSync(path, { recursive: true, mode: 0o710 });
    chownSync(path, 0, gid);
    chmodSync(path, 0o710);
  }
  closeAllBut(dirname(directory));
  for (const above of [dirname(dirname(directory)), dirname(directory), dirname(bundle)]) {
    if (!isPassable(above)) chmodSync(above, (statSync(above).mode & MODE) | PASSABLE);
  }
}

const MODE = 0o7777;
const PASSABLE = 0o001;
const OTHERS = 0o007;

function isPassable(path: string): boolean {
  return (statSync(path).mode & PASSABLE) !== 0;
}

/** What lies beside the containers has relied on the data root being closed to others: from now on it is so itself. */
function closeAllBut(containersRoot: string): void {
  const dataRoot = dirname(containersRoot);
  if (isPassable(dataRoot)) return;
  for (const name of readdirSync(dataRoot)) {
    const path = join(dataRoot, name);
    const info = lstatSync(path);
    if (path === containersRoot || info.isSymbolicLink() || (info.mode & OTHERS) === 0) continue;
    chmodSync(path, info.mode & MODE & ~OTHERS);
  }
}

/** Puts the mapped root in place of the plain one, in which everything was prepared. */
export async function mapRoot(room: Room, container: Container, mapping: IdMapping): Promise<void> {
  const { paths } = container;
  const mounts = await rootMounts(room, container);
  room.kernel.mounts.unmount(paths.rootfs, { lazy: true });
  mountMapped(room, mounts, paths.rootfs, mapping);
}

/** Mounts one above the other on `target`, each with the ids of the mapping. KernelError. */
export function mountMapped(room: Room, mounts: readonly Mount[], target: string, mapping: IdMapping): void {
  withUserns(room, mapping, (userns) => {
    for (const mount of mounts) room.kernel.mounts.mountMapped(mount, target, userns);
  });
}

/** The mounts with mapped ones in place of those that are to be. */
export function mapMounts(
  room: Room,
  { paths }: Container,
  { mapping, mounts }: { readonly mapping: IdMapping; readonly mounts: readonly ResolvedMount[] },
  undo: Undo,
): readonly ResolvedMount[] {
  if (!mounts.some(({ mapped }) => mapped === true)) return mounts;
  const places = join(paths.bundle, 'mapped');
  mkdirSync(places, { recursive: true, mode: 0o711 });
  return withUserns(room, mapping, (userns) =>
    mounts.map((resolved, index) => {
      if (resolved.mapped !== true) return resolved;
      const { destination, mount } = resolved;
      const place = join(places, String(index));
      if (statSync(mount.source).isDirectory()) mkdirSync(place, { recursive: true });
      else writeFileSync(place, '');
      try {
        const reach = mount.options.includes('bind') ? 'bind' : 'rbind';
        const private_ = { type: 'bind', source: mount.source, options: [reach, 'rprivate'] };
        room.kernel.mounts.mountMapped(private_, place, userns);
      } catch (error) {
        throw new InternalError(`the ids of the mount on ${destination} cannot be mapped: ${messageOf(error)}`, {
          cause: error,
        });
      }
      undo.defer(() => room.kernel.mounts.unmount(place, { lazy: true }));
      return { ...resolved, mount: { ...mount, source: place } };
    }),
  );
}

function withUserns<T>(room: Room, mapping: IdMapping, job: (userns: Fd) => T): T {
  const userns = room.kernel.userNamespaces.open(forMounts(mapping));
  try {
    return job(userns);
  } finally {
    closeSync(userns);
  }
}
