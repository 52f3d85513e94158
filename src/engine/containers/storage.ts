/**
 * Whose tree a container has: that of the driver in use, or of one that was in use when it was made. The latter keeps its
 * name and its record; it runs again when its driver is chosen again or its files were moved.
 */
import { ConflictError } from '../../base/errors.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { Container } from './container.ts';
import type { Room } from './room.ts';

/** ConflictError that names the ways out when a container's files are with a driver that is not in use. */
export function refuseOtherStorage(room: Room, { name, document: { storageDriver: own } }: Container): void {
  const { name: inUse } = room.storage;
  if (own === inUse) return;
  throw new ConflictError(
    `container ${name} was made with storage driver ${own} and the engine runs with ${inUse}: start the engine with ` +
      `--storage-driver ${own}, or end it and run "moored migrate-storage --to ${inUse}"`,
  );
}

/** The driver that has a container's tree. ConflictError when it cannot be opened. */
export async function storageOf(room: Room, { document: { storageDriver: own } }: Container): Promise<StorageDriver> {
  return own === room.storage.name ? room.storage : room.otherStorage.open(own);
}
