import { messageOf } from '../../../base/errors.ts';
import type { Task } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import type { Exec, ExecState } from './record.ts';
import { publish, type Room } from '../room.ts';

/** How long an ended exec can still be inspected. */
const RECORD_LIFE_MS = 5 * 60 * 1000;
/** Ended execs of one container that are kept: a loop of `docker exec` must not fill the memory. */
const MAX_ENDED_RECORDS = 1000;

/** The exec's process has ended, or could not be started. */
export function end(room: Room, container: Container, exec: Exec, exitCode: number, pid: number): void {
  become(room, exec, { kind: 'ended', exitCode, pid });
  exec.settled.resolve();
  container.touch();
  publish(room, container, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
  forgetOldest(room, container);
  room.clock.after(RECORD_LIFE_MS, () => forget(room, exec));
}

/** Settles when the process has ended and inspect tells so; what it leaves is taken away afterwards. Never rejects. */
export async function followToEnd(room: Room, container: Container, exec: Exec, task: Task): Promise<void> {
  const { exitCode } = await task.exit;
  end(room, container, exec, exitCode, task.pid);
  void letGo(room, exec, task);
}

export function become(room: Room, exec: Exec, state: ExecState): void {
  exec.state = state;
  room.changes.tell({ kind: 'exec-changed', containerId: exec.containerId, execId: exec.id });
}

/**
 * Nobody asks an ended exec's monitor for anything: its files and handles go, its record stays for inspect. Not before its
 * end is written down, though: of one that a killed daemon had just seen the next would find nothing at all.
 */
async function letGo(room: Room, { id }: Exec, task: Task): Promise<void> {
  try {
    await room.events.written();
    await task.delete();
  } catch (error) {
    room.logger.warn('an ended exec left files behind', { exec: id, reason: messageOf(error) });
  }
}

function forgetOldest(room: Room, { execs }: Container): void {
  if (execs.size <= MAX_ENDED_RECORDS) return;
  const ended = [...execs.values()].filter(({ state }) => state.kind === 'ended');
  for (const exec of ended.slice(0, -MAX_ENDED_RECORDS)) forget(room, exec);
}

function forget(room: Room, { id, containerId }: Exec): void {
  if (!room.registry.deleteExec(id)) return;
  room.changes.tell({ kind: 'exec-removed', containerId, execId: id });
}
