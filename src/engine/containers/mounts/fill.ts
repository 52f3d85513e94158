/** Copy-up at create: a new volume gets what the image has at its target, once and for all, as in Docker. */
import { InternalError, messageOf } from '../../../base/errors.ts';
import type { Undo } from '../../../base/undo.ts';
import type { Container } from '../container.ts';
import { canBeFilled, fillVolume } from './copy-up.ts';
import type { PlannedMount } from '../record.ts';
import type { Room } from '../room.ts';
import { rootMounts } from './snapshots.ts';
import { mountTree, unmountTree } from './tree.ts';

/**
 * Fills the container's empty volumes from its root, which is mounted for that alone and only where there is one.
 * InternalError `failed to populate volume: …`; what is mounted then goes with `undo`. The caller has made sure that the
 * volumes stay.
 */
export async function fillVolumes(room: Room, container: Container, undo: Undo): Promise<void> {
  const wishes = container.document.mounts.filter(isFilled);
  try {
    undo.defer(async () => unmountRoot(room, container));
    const giveBack = async ({ name }: { readonly name: string }): Promise<void> =>
      room.volumes.unmount(name, container.id);
    let isMounted = false;
    for (const wish of wishes) {
      undo.defer(() => giveBack(wish));
      const { mount, ...facts } = await room.volumes.mount(wish.name, container.id);
      const volume = { path: mount.source, ...facts };
      if (!canBeFilled(volume)) continue;
      if (!isMounted) await mountRoot(room, container);
      isMounted = true;
      const source = { rootfs: container.paths.rootfs, target: wish.destination };
      await room.volumeLock.hold(wish.name, () => fillVolume(room.files, source, volume));
    }
    if (isMounted) await unmountRoot(room, container);
    for (const wish of wishes) await giveBack(wish);
  } catch (error) {
    throw new InternalError(`failed to populate volume: ${messageOf(error)}`, { cause: error });
  }
}

async function mountRoot(room: Room, container: Container): Promise<void> {
  for (const mount of await rootMounts(room, container)) await mountTree(room, mount, container.paths.rootfs);
}

function isFilled(mount: PlannedMount): mount is PlannedMount & { readonly name: string } {
  return mount.kind === 'volume' && mount.name !== null && !mount.noCopy && (mount.subpath ?? '') === '';
}

/** Takes away what {@link fillVolumes} has mounted, be it an engine's that was killed meanwhile. Idempotent. */
export async function unmountRoot(room: Room, { paths }: Container): Promise<void> {
  for (const path of room.kernel.mounts.listBelow(paths.rootfs)) await unmountTree(room, path);
}
