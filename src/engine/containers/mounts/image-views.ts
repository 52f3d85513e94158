/** The snapshots that images are mounted from into a container: each a view of its own, until the container goes. */
import type { StorageDriver } from '../../storage/driver.ts';
import type { Container } from '../container.ts';
import type { PlannedMount } from '../record.ts';

const VIEW_KEY = /^([0-9a-f]{64})-image-[0-9a-f]+$/;

/** Keys of a container's views of images, there or not. */
export function imageViewKeys(container: Container): readonly string[] {
  return container.document.mounts.flatMap((mount) => (mount.kind === 'image' ? [viewKeyOf(container, mount)] : []));
}

/** Gives the views of a container's images back. Idempotent. */
export async function removeImageViews(storage: StorageDriver, container: Container): Promise<void> {
  for (const key of imageViewKeys(container)) await storage.remove(key);
}

/** The container whose view a snapshot is; null for other snapshots. */
export function ownerOfView(key: string): string | null {
  return VIEW_KEY.exec(key)?.[1] ?? null;
}

/** The key of the view that an image is mounted from. */
export function viewKeyOf({ id }: Container, { destination }: PlannedMount): string {
  return `${id}-image-${Buffer.from(destination).toString('hex').slice(-64)}`;
}
