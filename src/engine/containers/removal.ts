import { rmSync } from 'node:fs';
import { messageOf } from '../../base/errors.ts';
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
  container.removing = true;
  const result = { exitCode: exitCodeOf(container.state), error: null };
  if (container.state.status !== 'removing') container.apply({ kind: 'removal-started' });
  const anonymous = container.document.mounts
    .filter((mount) => mount.anonymous)
    .flatMap(({ name }) => (name === null ? [] : [name]));
  try {
    for (const path of room.kernel.mounts.listBelow(container.paths.rootfs)) {
      room.kernel.mounts.unmount(path, { lazy: true });
    }
    await room.storage.remove(container.id);
    rmSync(container.paths.directory, { recursive: true, force: true });
    rmSync(container.paths.bundle, { recursive: true, force: true });
    room.db.transaction(() => {
      room.volumes.release(container.id);
      room.rows.delete(container.id);
    });
  } catch (error) {
    container.apply({ kind: 'removal-failed', error: messageOf(error) });
    container.removing = false;
    container.waiters.removed({ exitCode: result.exitCode, error: messageOf(error) });
    throw error;
  }
  room.registry.delete(container);
  container.ended.abort();
  publish(room, container, 'destroy');
  if (volumes) await removeVolumes(room, container, anonymous);
  container.waiters.removed(result);
}

async function removeVolumes(room: Room, container: Container, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      // Another container may have borrowed it by --volumes-from: it stays then.
      if (room.volumes.usersOf(name).length === 0) await room.volumes.remove(name, { force: true });
    } catch (error) {
      room.logger.warn('an anonymous volume could not be removed', {
        container: container.id,
        volume: name,
        reason: messageOf(error),
      });
    }
  }
}
