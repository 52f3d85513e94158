import { messageOf } from '../../../base/errors.ts';
import type { AdoptedExec } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import type { Exec } from './record.ts';
import type { Room } from '../room.ts';
import { followToEnd } from './ending.ts';
import { specOfNote } from './note.ts';

const SIGKILL = 9;

/**
 * Takes over the execs that an earlier daemon started: they went on without it, and the end of one that ended meanwhile
 * comes like any other. After the containers, whose they are; once. Those of `unreadable` containers are left alone. Never
 * rejects.
 */
export async function adoptExecs(room: Room, unreadable: ReadonlyMap<string, unknown>): Promise<void> {
  let found: readonly AdoptedExec[];
  try {
    found = await room.monitor.adoptExecs();
  } catch (error) {
    room.logger.error('execs of an earlier engine could not be found', { reason: messageOf(error) });
    return;
  }
  for (const adopted of found) {
    if (unreadable.has(adopted.containerId)) continue;
    const container = room.registry.get(adopted.containerId);
    const spec = specOfNote(adopted.note);
    if (container === null || spec === null) void endUnknown(adopted);
    else takeOver(room, container, { ...adopted, spec });
  }
}

function takeOver(room: Room, container: Container, { execId, spec, task }: AdoptedExec & Pick<Exec, 'spec'>): void {
  const settled = Promise.withResolvers<void>();
  settled.resolve();
  const exec: Exec = { id: execId, containerId: container.id, spec, state: { kind: 'running', task }, settled };
  room.registry.addExec(container, exec);
  room.changes.tell({ kind: 'exec-added', containerId: container.id, execId });
  container.touch();
  void followToEnd(room, container, exec, task);
}

/** Its container is gone: so is, or should be, its process. */
async function endUnknown({ task }: AdoptedExec): Promise<void> {
  task.signal(SIGKILL);
  await task.exit;
  await task.delete().catch(() => undefined);
}
