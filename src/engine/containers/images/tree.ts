/** What is in a container's root, as seen from outside. */
import type { TreeChange } from '../../storage/packing.ts';
import { refuseLeaving } from './commit.ts';
import type { Container } from '../container.ts';
import { noSuchContainer } from '../errors.ts';
import { publish, type Room } from '../room.ts';
import { scaffoldOf } from '../secrets/mount-points.ts';
import { refuseOtherStorage } from '../storage.ts';

/** The whole root as a tar, without what is mounted in it. */
export function exportTree(room: Room, ref: string, signal: AbortSignal): AsyncIterable<Buffer> {
  const container = room.registry.resolve(ref);
  refuseLeaving(container, 'export');
  refuseOtherStorage(room, container);
  return contentsOf(room, container, signal);
}

async function* contentsOf(room: Room, container: Container, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  // The rest of what the engine puts into a root is in dockerd's exports, too.
  const scaffold = container.live.secretPoints ?? [];
  let isFirst = true;
  for await (const chunk of room.packer.contents(container.id, { scaffold, signal })) {
    if (isFirst) publish(room, container, 'export');
    isFirst = false;
    yield chunk;
  }
  // What was removed meanwhile was only in part there to be read.
  if (room.registry.get(container.id) !== container) throw noSuchContainer(container.id);
  refuseLeaving(container, 'export');
}

/** What the container has changed in its image's tree. */
export async function changesOf(
  room: Room,
  ref: string,
  signal: AbortSignal | undefined,
): Promise<readonly TreeChange[]> {
  const container = room.registry.resolve(ref);
  refuseOtherStorage(room, container);
  return room.packer.changes(container.id, {
    scaffold: scaffoldOf(container),
    ...(signal === undefined ? {} : { signal }),
  });
}
