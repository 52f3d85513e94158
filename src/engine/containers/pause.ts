import { ConflictError } from '../../base/errors.ts';
import { isRestarting, notRunning } from './errors.ts';
import { publish, runtimeNamed, type Room } from './room.ts';
import { isLive } from './state.ts';

export async function pause(room: Room, ref: string): Promise<void> {
  const container = room.registry.resolve(ref);
  await container.mailbox.run(async () => {
    const { state } = container;
    if (state.status === 'restarting') throw isRestarting(container.id);
    if (state.status === 'paused') throw new ConflictError(`container ${container.id} is already paused`);
    if (!isLive(state)) throw notRunning(container.id);
    await runtimeNamed(room, container.document.runtime).pause(container.id);
    container.apply({ kind: 'paused' });
    publish(room, container, 'pause');
  });
}

export async function unpause(room: Room, ref: string): Promise<void> {
  const container = room.registry.resolve(ref);
  await container.mailbox.run(async () => {
    if (container.state.status !== 'paused') throw new ConflictError(`container ${container.id} is not paused`);
    await runtimeNamed(room, container.document.runtime).resume(container.id);
    container.apply({ kind: 'unpaused' });
    publish(room, container, 'unpause');
  });
}
