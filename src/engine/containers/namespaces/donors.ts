/** Containers whose namespaces others join, with Docker's words for those that cannot be joined. */
import { ConflictError, InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import type { HostOptions } from '../spec-types.ts';
import { isLive } from '../state.ts';

/** A container that runs, and its first process. */
export interface Donor {
  readonly container: Container;
  readonly pid: number;
}

/** At create only the donors of ipc and pids must exist; whether any of them runs is asked at start. */
export function checkDonorsExist(room: Room, { ipcMode, pidMode }: HostOptions): void {
  for (const mode of [ipcMode, pidMode]) {
    // No 404: the CLI would take it for a missing image and pull.
    if (mode?.kind === 'container' && room.registry.find(mode.ref) === null) {
      throw new InvalidArgumentError(`No such container: ${mode.ref}`);
    }
  }
}

/** The same by the donors' ids: their names may change. One that is not there stays as it was called. */
export function byDonorId(room: Room, host: HostOptions): HostOptions {
  const byId = <T extends { readonly kind: string }>(mode: T | Lent): T | Lent =>
    'ref' in mode ? { ...mode, ref: room.registry.find(mode.ref)?.id ?? mode.ref } : mode;
  const { network, ipcMode, pidMode } = host;
  return { ...host, network: byId(network), ipcMode: ipcMode === null ? null : byId(ipcMode), pidMode: byId(pidMode) };
}

interface Lent {
  readonly kind: 'container';
  readonly ref: string;
}

/** Throws ConflictError or InternalError, as dockerd does. */
export function networkDonor(room: Room, ref: string, own: Container): Donor {
  const container = room.registry.find(ref);
  if (container === null) throw new InternalError(`joining network namespace of container: No such container: ${ref}`);
  if (container === own) throw new InternalError('cannot join own network namespace');
  const { state, name } = container;
  if (state.status === 'restarting') {
    throw new ConflictError(`cannot join network namespace of container: ${isRestarting(ref)}`);
  }
  if (!isLive(state)) {
    throw new ConflictError(
      `cannot join network namespace of a non running container: container ${name} is ${state.status}`,
    );
  }
  return { container, pid: state.pid };
}

/** InternalError, as dockerd has it for all that is wrong with such a donor. */
export function ipcDonor(room: Room, ref: string): Donor {
  const donor = otherDonor(room, ref, 'IPC');
  // Where shared memory lies on a mount: its own, its donor's or the host's.
  if (['private', 'none'].includes(donor.container.document.ipcMode.kind)) {
    throw new InternalError(
      `failed to join IPC namespace: container ${donor.container.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
  }
  return donor;
}

/** As {@link ipcDonor}. */
export function pidDonor(room: Room, ref: string): Donor {
  return otherDonor(room, ref, 'PID');
}

/** True when the container lends its shared memory: it must then lie on a mount that others can reach. */
export function lendsShm({ document }: Container): boolean {
  return document.ipcMode.kind === 'shareable';
}

function otherDonor(room: Room, ref: string, noun: 'IPC' | 'PID'): Donor {
  const fail = (reason: string): never => {
    throw new InternalError(`failed to join ${noun} namespace: ${reason}`);
  };
  const container = room.registry.find(ref);
  if (container === null) return fail(`No such container: ${ref}`);
  const { state, id } = container;
  if (state.status === 'restarting') return fail(isRestarting(id));
  if (!isLive(state)) return fail(`container ${id} is not running`);
  return { container, pid: state.pid };
}

function isRestarting(ref: string): string {
  return `Container ${ref} is restarting, wait until the container is running`;
}
