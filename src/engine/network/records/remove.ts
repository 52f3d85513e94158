import { ForbiddenError } from '../../../base/errors.ts';
import { activeEndpoints, configurationInUse, networkNotFound } from '../messages.ts';
import { isPredefined } from '../predefined.ts';
import { driverOf, tellOfNetwork } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { NetworkRecord } from '../types.ts';
import { isTaken } from './configuration.ts';

/** See {@link Networks.remove}. */
export async function removeNetwork(room: NetworkRoom, ref: string): Promise<void> {
  const record = room.registry.get(ref);
  const { id, name } = record;
  if (isPredefined(name)) throw new ForbiddenError(`${name} is a pre-defined network and cannot be removed`);
  refuseWhileUsed(room, record);
  using closed = await room.occupancy.closeWhenEmpty(id);
  // It is being made, or another is removing it.
  if (closed === null) throw networkNotFound(ref);
  refuseWhileUsed(room, record);
  // The record goes last: after a crash in between, the next start of the engine puts the network back whole.
  await driverOf(room, record).removeNetwork(record);
  room.registry.remove(id);
  room.leases.networkChanged(record);
  // Of a configuration dockerd tells no more than that it came.
  if (record.configuration === undefined) tellOfNetwork(room, 'destroy', record);
}

function refuseWhileUsed(room: NetworkRoom, record: NetworkRecord): void {
  const { id, name, configuration } = record;
  if (configuration !== undefined && isTaken(room, record)) throw configurationInUse(name);
  const endpoints = room.live.on(id);
  if (endpoints.length > 0) throw activeEndpoints(name, endpoints);
}
