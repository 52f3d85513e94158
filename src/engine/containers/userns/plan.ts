/** At start: whose user namespace a container will be in, and what its ids are. */
import { readlinkSync } from 'node:fs';
import { ConflictError, InternalError } from '../../../base/errors.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { isLive } from '../state.ts';
import { joinsAnother, refuseConflicts } from './choice.ts';
import { leasedMapping } from './lease.ts';

/** A user namespace other than the host's. */
export interface UsernsPlan {
  readonly mapping: IdMapping;
  /** The file of another container's that is joined; null: one of its own. */
  readonly joined: string | null;
}

/** Null: the host's. ConflictError where a container in another user namespace is to be joined. */
export function planUserns(room: Room, container: Container): UsernsPlan | null {
  const { document } = container;
  const kind = document.userns ?? 'remap';
  const { host } = document.spec;
  if (kind === 'host' || (kind === 'remap' && room.options.userns.remap === null)) return null;
  refuseConflicts(host);
  if (joinsAnother(host)) return planJoined(room, container);
  const mapping = kind === 'remap' ? room.options.userns.remap : leasedMapping(room.usernsLeases, container.id);
  if (mapping === null) throw new InternalError(`container ${container.id} has no ids for its user namespace`);
  return { mapping, joined: null };
}

/** To share any other namespace, a container must also be in the same user namespace. */
function planJoined(room: Room, container: Container): UsernsPlan | null {
  const donors = donorsOf(room, container);
  const [first] = donors;
  // It is told of where its namespace is looked for.
  if (first === undefined) return null;
  const places = new Set(donors.map(({ place }) => readlinkSync(place)));
  if (places.size > 1 || donors.some(({ mapping }) => mapping === null)) {
    const names = donors.map(({ name }) => name).join(', ');
    throw new ConflictError(
      places.size > 1
        ? `cannot join namespaces of containers that are in different user namespaces: ${names}`
        : `cannot join a namespace of container ${names} from another user namespace (hint: use --userns=host for both)`,
    );
  }
  return first.mapping === null ? null : { mapping: first.mapping, joined: first.place };
}

interface Donor {
  readonly name: string;
  readonly place: string;
  readonly mapping: IdMapping | null;
}

/** Those of the containers to be joined that run. */
function donorsOf(room: Room, { document }: Container): readonly Donor[] {
  const { network, pidMode } = document.spec.host;
  return [network, document.ipcMode, pidMode].flatMap((mode) => {
    if (mode.kind !== 'container') return [];
    const donor = room.registry.find(mode.ref);
    if (donor === null || !isLive(donor.state)) return [];
    const place = `/proc/${String(donor.state.pid)}/ns/user`;
    return [{ name: donor.name, place, mapping: donor.live.idMapping ?? null }];
  });
}
