import { UnavailableError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { UsernsLeases } from '../../state/userns-leases.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { isLive } from '../state.ts';
import { freeRun, mappingOfRun } from './pool.ts';
import type { IdRun } from './subordinate.ts';

/** Gives a container ids of its own until its row is deleted. UnavailableError when there are not as many left. */
export function leaseIds(
  { usernsLeases: leases, options, registry }: Pick<Room, 'usernsLeases' | 'options' | 'registry'>,
  { containerId, size }: { readonly containerId: ContainerId; readonly size: number },
): void {
  const { pool } = options.userns;
  const leased = leases.all();
  // Also what runs with ids of a container that is removed by now: it had joined that one's user namespace.
  const run = freeRun(pool.runs, [...leased, ...registry.all().flatMap(runsHeldBy)], size);
  if (run === null) {
    throw new UnavailableError(
      `no ${String(size)} ids in a row are free for a user namespace in ${pool.source}: ${String(leased.length)} containers have theirs`,
    );
  }
  leases.insert({ containerId, ...run });
}

/** The mapping of a container's own ids; null when it has none. */
export function leasedMapping(leases: UsernsLeases, containerId: ContainerId): IdMapping | null {
  const lease = leases.of(containerId);
  return lease === null ? null : mappingOfRun(lease);
}

function runsHeldBy({ live, state }: Container): readonly IdRun[] {
  if (!isLive(state)) return [];
  const { uids, gids } = live.idMapping ?? { uids: [], gids: [] };
  return [...uids, ...gids].map(({ hostID, size }) => ({ first: hostID, count: size }));
}
