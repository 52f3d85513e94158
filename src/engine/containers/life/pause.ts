import { ConflictError } from '../../../base/errors.ts';
import { isRestarting, notRunning } from '../errors.ts';
import type { Container } from '../container.ts';
import { endWatch, watchHealth } from '../health.ts';
import { applyFact } from './facts.ts';
import { publish, runtimeNamed, type Room } from '../room.ts';
import { isLive } from '../state.ts';

export async function pause(room: Room, ref: string): Promise<void> {
  const container = room.registry.resolve(ref);
  await container.mailbox.run(async () => {
    const { state } = container;
    if (state.status === 'restarting') throw isRestarting(container.id);
    if (state.status === 'paused') throw new ConflictError(`Container ${container.id} is already paused`);
    if (!isLive(state)) throw notRunning(container.id);
    await unlessEnded(container, runtimeNamed(room, container.document.runtime).pause(container.id));
    // The user's own, whatever a commit may have done before.
    applyFact(room, container, { kind: 'paused' }, { frozenForCommit: false });
    endWatch(room, container);
    publish(room, container, 'pause');
  });
}

export async function unpause(room: Room, ref: string): Promise<void> {
  const container = room.registry.resolve(ref);
  await container.mailbox.run(async () => {
    if (container.state.status !== 'paused') throw new ConflictError(`Container ${container.id} is not paused`);
    await unlessEnded(container, runtimeNamed(room, container.document.runtime).resume(container.id));
    applyFact(room, container, { kind: 'unpaused' }, { frozenForCommit: false });
    watchHealth(room, container, 'again');
    publish(room, container, 'unpause');
  });
}

/** The runtime refuses what has just ended, of which we have not been told yet. */
async function unlessEnded(container: Container, verb: Promise<void>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    if (container.hasProcess) throw error;
    throw notRunning(container.id);
  }
}
