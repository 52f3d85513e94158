/** Trees of snapshots, mounted on this thread only where that waits for no disk. */
import { isInstant, type Mount } from '../../oci/mount.ts';
import { isHeld } from '../../storage/driver.ts';
import type { Room } from '../room.ts';

/** Mounts a part of a snapshot. KernelError. */
export async function mountTree({ kernel }: Room, mount: Mount, target: string): Promise<void> {
  if (isInstant(mount)) kernel.mounts.mount(mount, target);
  else await kernel.mounts.mountInThread(mount, target);
}

/** Takes the topmost mount away, be it the root of a container or what lies in it or beside it, also when it is busy. */
export async function unmountTree({ kernel, storage }: Room, target: string): Promise<void> {
  if (isHeld(storage)) await kernel.mounts.unmountInThread(target, { lazy: true });
  else kernel.mounts.unmount(target, { lazy: true });
}
