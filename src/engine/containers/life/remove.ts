import { removalInProgress, runningCannotBeRemoved } from '../errors.ts';
import { removeNow } from './removal.ts';
import type { Room } from '../room.ts';
import { isLive } from '../state.ts';
import { stopContainer } from './stop.ts';

/** Removes a container; `force` kills first, `volumes` takes its anonymous volumes along. */
export async function remove(
  room: Room,
  ref: string,
  { force, volumes }: { readonly force: boolean; readonly volumes: boolean },
): Promise<void> {
  const container = room.registry.resolve(ref);
  if (container.removing) throw removalInProgress(ref);
  if (isLive(container.state) && !force) throw runningCannotBeRemoved(container.name, container.state.status);
  container.removing = true;
  try {
    if (force) await stopContainer(room, container, { signal: 'KILL', timeoutSeconds: 0 });
    // Decided inside the mailbox: a start may be under way now, none can begin any more.
    await container.mailbox.run(async () => {
      const { status } = container.state;
      if (isLive(container.state) || status === 'restarting') throw runningCannotBeRemoved(container.name, status);
      await removeNow(room, container, { volumes });
    });
  } catch (error) {
    container.removing = false;
    throw error;
  }
}
