import { rmSync } from 'node:fs';
import { messageOf } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Container } from './container.ts';
import { publish, type Room } from './room.ts';
import { exitCodeOf } from './state.ts';

/**
 * Removes inside the mailbox. The row goes last: a daemon killed in between finds the container `removing` and goes on. A
 * removal that fails leaves it `dead`, to be removed again.
 */
export async function removeNow(
  room: Room,
  container: Container,
  { volumes }: { readonly volumes: boolean },
): Promise<void> {
  // Whoever waited for the mailbox behind another removal finds the work done.
  if (room.registry.get(container.id) !== container) return;
  container.removing = true;
  const result = { exitCode: exitCodeOf(container.state), error: null };
  const anonymous = anonymousVolumesOf(container);
  try {
    if (container.state.status !== 'removing') container.apply({ kind: 'removal-started' }, { takesVolumes: volumes });
    // Present only where the end of the last run could not take it away.
    const { sandbox } = container.live;
    if (sandbox !== null) await room.networks.tearDown(container.id, sandbox);
    const { rootfs, shm } = container.paths;
    for (const path of [rootfs, shm].flatMap((place) => room.kernel.mounts.listBelow(place))) {
      room.kernel.mounts.unmount(path, { lazy: true });
    }
    await room.storage.remove(container.id);
    rmSync(container.paths.directory, { recursive: true, force: true });
    rmSync(container.paths.bundle, { recursive: true, force: true });
    room.volumes.release(container.id);
    // Before the row: without it nobody would know of them after a kill in between.
    if (volumes) await removeVolumes(room, container.id, anonymous);
    room.rows.delete(container.id);
  } catch (error) {
    markDead(room, container, messageOf(error));
    container.removing = false;
    container.waiters.removed({ exitCode: result.exitCode, error: messageOf(error) });
    throw error;
  }
  room.registry.delete(container);
  container.ended.abort();
  for (const parked of container.parked) parked(null);
  container.parked.clear();
  publish(room, container, 'destroy');
  container.waiters.removed(result);
}

function markDead(room: Room, container: Container, error: string): void {
  const event = { kind: 'removal-failed', error } as const;
  try {
    container.apply(event);
  } catch (unwritten) {
    // The row stays `removing`: the next daemon goes on from there.
    room.logger.error('a failed removal could not be written down', {
      container: container.id,
      reason: messageOf(unwritten),
    });
    container.believe(event);
  }
}

/** Names of the volumes that were made for this container alone. */
export function anonymousVolumesOf(container: Container): readonly string[] {
  return container.document.mounts
    .filter((mount) => mount.anonymous)
    .flatMap(({ name }) => (name === null ? [] : [name]));
}

/** Removes volumes that no container uses; a failure is only told. */
export async function removeVolumes(room: Room, containerId: ContainerId, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      // Another container may have borrowed it by --volumes-from: it stays then.
      if (room.volumes.usersOf(name).length === 0) await room.volumes.remove(name, { force: true });
    } catch (error) {
      room.logger.warn('an anonymous volume could not be removed', {
        container: containerId,
        volume: name,
        reason: messageOf(error),
      });
    }
  }
}
