import { rmSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { Container } from '../container.ts';
import type { ChainId } from '../../oci/digest.ts';
import { releaseMounts } from '../mounts/resolution.ts';
import { removeImageViews } from '../mounts/image-views.ts';
import { unmountTree } from '../mounts/tree.ts';
import { applyFact } from './facts.ts';
import { letGoOfLog } from '../streams/logs.ts';
import { publish, type Room } from '../room.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { storageOf } from '../storage.ts';
import { exitCodeOf } from '../state.ts';

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
  const storage = await storageOf(room, container);
  container.removing = true;
  const result = { exitCode: exitCodeOf(container.state), error: null };
  const anonymous = anonymousVolumesOf(container);
  try {
    // On a full disk it goes on all the same: what it frees is what its last writes need.
    if (container.state.status !== 'removing') {
      applyFact(room, container, { kind: 'removal-started' }, { takesVolumes: volumes });
    }
    await container.spent?.delete();
    container.spent = null;
    await reclaimTask(room, container);
    // Present only where the end of the last run could not take it away.
    const { sandbox } = container.live;
    if (sandbox !== null) await room.networks.tearDown(container.id, sandbox);
    container.copies.cut();
    const { directory, bundle } = container.paths;
    for (const path of [directory, bundle].flatMap((place) => room.kernel.mounts.listBelow(place))) {
      await unmountTree(room, path);
    }
    await releaseMounts(room, container);
    // With a snapshot, all holds on it go.
    container.holds.end(() => []);
    await removeImageViews(storage, container);
    const layersWait = storage === room.storage && room.images.find(container.document.imageId) === null;
    const stood = layersWait ? await storage.stat(container.id).catch(() => null) : null;
    await removeSnapshot(room, container, storage);
    // Layers of an image that was forced away under the container have waited for this.
    if (stood !== null && stood.parent !== null) await room.images.collectChain(stood.parent as ChainId);
    await letGoOfLog(room, container);
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
  room.knownSizes.forget(container.id);
  container.ended.abort();
  for (const parked of container.parked) parked(null);
  container.parked.clear();
  publish(room, container, 'destroy');
  container.waiters.removed(result);
}

/** Not while a step's becomes a layer. */
async function removeSnapshot(room: Room, { id, document }: Container, storage: StorageDriver): Promise<void> {
  if (document.isStep === true) await room.captureLock.hold(id, () => storage.remove(id));
  else await storage.remove(id);
}

/**
 * Takes away what monitor and runtime have of a process that is no more, where the end of its run could not: nobody asks
 * for it once the container has gone.
 */
export async function reclaimTask(room: Room, { id, document }: Container): Promise<void> {
  const runtime = room.runtimes.get(document.runtime);
  if (runtime === undefined) return;
  const task = await room.monitor.adopt(id, runtime);
  await task?.delete();
}

function markDead(room: Room, container: Container, error: string): void {
  // That it began could not be written down: nothing has been taken away, it is what it was.
  if (container.state.status !== 'removing') return;
  // On a full disk the row stays `removing`: the next daemon goes on from there.
  applyFact(room, container, { kind: 'removal-failed', error });
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
