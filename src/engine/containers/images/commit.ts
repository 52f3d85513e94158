import { ConflictError, messageOf } from '../../../base/errors.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { Container } from '../container.ts';
import { noSuchContainer } from '../errors.ts';
import { publish, runtimeNamed, type Room } from '../room.ts';
import { runConfigOf } from './run-config.ts';
import { scaffoldOf } from '../secrets/mount-points.ts';
import { refuseOtherStorage } from '../storage.ts';
import type { CommitOptions } from '../types.ts';

/**
 * Makes an image of a container's changes. What runs is paused only while the changes are copied; the pause is written
 * down as the engine's own, so that the engine that comes after a killed one ends it.
 */
export async function commit(room: Room, ref: string, options: CommitOptions): Promise<ImageId> {
  const container = room.registry.resolve(ref);
  refuseLeaving(container, 'commit');
  refuseOtherStorage(room, container);
  // One at a time: the first one's end must not set going what the second one reads.
  return room.captureLock.hold(container.id, () => commitAlone(room, container, options), options.signal);
}

async function commitAlone(room: Room, container: Container, options: CommitOptions): Promise<ImageId> {
  const { document } = container;
  try {
    const id = await room.images.commit({
      snapshot: container.id,
      parent: document.imageId,
      containerId: container.id,
      containerConfig: runConfigOf(document.spec),
      config: options.config,
      changes: options.changes,
      repository: options.repository,
      tag: options.tag,
      author: options.author,
      comment: options.comment,
      scaffold: scaffoldOf(container),
      quiesce: async () => {
        if (options.pause) await freeze(room, container);
      },
      onTaken: async () => {
        await thaw(room, container);
        // Its files went away while they were read.
        if (room.registry.get(container.id) !== container) throw noSuchContainer(container.id);
        refuseLeaving(container, 'commit');
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const imageRef = room.images.find(id)?.tags[0] ?? '';
    publish(room, container, 'commit', { comment: options.comment, imageID: id, imageRef });
    return id;
  } finally {
    await thaw(room, container);
  }
}

/** ConflictError in Docker's words for a container that is about to go, or could not. */
export function refuseLeaving({ id, state, removing }: Container, verb: 'commit' | 'export' | 'copy'): void {
  if (state.status === 'dead') throw new ConflictError(`You cannot ${verb} container ${id} which is Dead`);
  if (state.status === 'removing' || removing)
    throw new ConflictError(`You cannot ${verb} container ${id} which is being removed`);
}

/**
 * Pauses what runs. What cannot be paused is read as it is, as dockerd does. That the pause is the commit's is written down
 * first: an engine that is killed at any point leaves nothing frozen that nobody knows of.
 */
async function freeze(room: Room, container: Container): Promise<void> {
  await container.mailbox.run(async () => {
    if (container.state.status !== 'running') return;
    container.update({ frozenForCommit: true });
    try {
      await runtimeNamed(room, container.document.runtime).pause(container.id);
    } catch (error) {
      container.update({ frozenForCommit: false });
      room.logger.warn('a container could not be paused for its commit', {
        container: container.id,
        reason: messageOf(error),
      });
      return;
    }
    container.apply({ kind: 'paused' });
    publish(room, container, 'pause');
  });
}

/** Ends a pause that was the commit's own and that nobody has ended meanwhile. */
async function thaw(room: Room, container: Container): Promise<void> {
  await container.mailbox.run(async () => {
    // A removal may have taken its row.
    if (container.live.frozenForCommit !== true || room.registry.get(container.id) !== container) return;
    if (container.state.status !== 'paused') {
      container.update({ frozenForCommit: false });
      return;
    }
    try {
      await runtimeNamed(room, container.document.runtime).resume(container.id);
    } catch (error) {
      // It was killed in its pause, of which we have not been told yet: there is nothing to let go on.
      if (container.hasProcess) throw error;
      container.update({ frozenForCommit: false });
      return;
    }
    container.apply({ kind: 'unpaused' }, { frozenForCommit: false });
    publish(room, container, 'unpause');
  });
}

/** Lets go on what a killed engine had stopped for a commit. */
export async function thawLeftOver(room: Room, container: Container): Promise<void> {
  if (container.live.frozenForCommit !== true) return;
  // Killed between the freezer and the row: it stands still and counts as running.
  const runtime = runtimeNamed(room, container.document.runtime);
  if (container.state.status === 'running') await runtime.resume(container.id).catch(() => undefined);
  await thaw(room, container);
}
