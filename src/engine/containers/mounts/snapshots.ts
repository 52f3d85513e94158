/** The snapshots that a container's files come from: how they are mounted, and when they are let go of. */
import type { Mount } from '../../oci/mount.ts';
import { release } from '../../storage/driver.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { imageViewKeys } from './image-views.ts';

/** How to mount a container's root. It is held until {@link releaseSnapshots}. NotFoundError when it is gone. */
export async function rootMounts(room: Room, { id, holds }: Container): Promise<readonly Mount[]> {
  return holds.take(id, async () => room.storage.mounts(id));
}

/** Ends what holds a container's snapshots, when all that was mounted of them is unmounted. Idempotent. */
export async function releaseSnapshots(room: Room, container: Container): Promise<void> {
  const keys = container.holds.end(() => [container.id, ...imageViewKeys(container)]);
  // What another driver still has switched on it finds when it is opened.
  if (container.document.storageDriver !== room.storage.name) return;
  const failures: unknown[] = [];
  for (const key of keys) {
    await release(room.storage, key).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}
