import type { Room } from './room.ts';
import { MOUNT_TABLE } from './setup/scaffold.ts';
import type { Containers } from './types.ts';

/** Bytes of the writable layer and of the whole root. A container that this driver has no tree of has none. */
export async function sizes(room: Room, ref: string): ReturnType<Containers['sizes']> {
  const container = room.registry.resolve(ref);
  const { id, document } = container;
  const { knownSizes, packer } = room;
  const measure = async (): Promise<number> => (await packer.usage(id, [MOUNT_TABLE])).sizeBytes;
  const isForeign = document.storageDriver !== room.storage.name;
  const known = knownSizes.get(container);
  const writableBytes = known ?? (isForeign ? 0 : await knownSizes.learn(container, measure));
  return { writableBytes, rootBytes: writableBytes + (room.images.find(document.imageId)?.sizeBytes ?? 0) };
}
