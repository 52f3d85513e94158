import { removalInProgress, runningCannotBeRemoved } from './errors.ts';
import { removeNow } from './removal.ts';
import type { Room } from './room.ts';
import { isLive } from './state.ts';
import { stopContainer } from './stop.ts';

/** Removes a container; `force` kills first, `volumes` takes its anonymous volumes along. */
export async function remove(
  room: Room,
  ref: string,
  { force, volumes }: { readonly force: boolean; readonly volumes: boolean },
): Promise<void> {
  const container = room.registry.resolve(ref);
  if (container.removing) throw removalInProgress(ref);
  const busy = isLive(container.state) || container.state.status === 'restarting';
  if (busy && !force) throw runningCannotBeRemoved(container.name, container.state.status);
  container.removing = true;
  try {
    if (busy) await stopContainer(room, container, { signal: 'KILL', timeoutSeconds: 0 });
    await container.mailbox.run(() => removeNow(room, container, { volumes }));
  } catch (error) {
    container.removing = false;
    throw error;
  }
}
