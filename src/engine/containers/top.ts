import type { ProcessTable } from '../runtime/process-list.ts';
import { isRestarting, notRunning } from './errors.ts';
import { publish, type Room } from './room.ts';
import { isLive } from './state.ts';

/** The processes of what runs, as `ps` with these arguments shows them. ConflictError when nothing runs. */
export async function top(room: Room, ref: string, psArguments: string, signal?: AbortSignal): Promise<ProcessTable> {
  const container = room.registry.resolve(ref);
  const { cgroupPath, state } = container.view();
  if (state.status === 'restarting') throw isRestarting(container.id);
  if (!isLive(state) || cgroupPath === null) throw notRunning(container.id);
  const table = await room.processes.list(cgroupPath, psArguments, signal);
  publish(room, container, 'top');
  return table;
}
