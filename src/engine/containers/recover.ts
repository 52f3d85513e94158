/**
 * Start-up is recovery: the rows are read, what runs is adopted, and what happened meanwhile is fed in as messages. A
 * killed daemon may have left a container half created (`creating`), half started (`starting`) or half removed.
 */
import { rmSync } from 'node:fs';
import { messageOf } from '../../base/errors.ts';
import type { SandboxState } from '../network/types.ts';
import type { Task } from '../runtime/monitor.ts';
import type { Container } from './container.ts';
import { giveBack, planRestart, quietly } from './exit.ts';
import { decodeRow } from './record.ts';
import { anonymousVolumesOf, removeNow, removeVolumes } from './removal.ts';
import { startsWithDaemon } from './restart-policy.ts';
import { actorOf, runtimeNamed, type Room } from './room.ts';
import { startNow } from './start.ts';
import { exitCodeOf, isLive, restartCountOf } from './state.ts';

/** dockerd's code for a process of which nothing is known, as after a reboot. */
const UNKNOWN_EXIT_CODE = 255;
const CONTAINER_ID = /^[0-9a-f]{64}$/;

/** Returns the starts that it began; none of them rejects. */
export async function recover(room: Room): Promise<readonly Promise<void>[]> {
  for (const row of room.rows.all()) {
    const container = actorOf(room, decodeRow(row));
    if (container.live.phase === 'creating') {
      await takeBack(room, container);
      continue;
    }
    room.registry.reserveName(container.name, container.id);
    room.registry.add(container);
  }
  await removeStraySnapshots(room);
  const containers = room.registry.all();
  await Promise.all(containers.map((container) => adopt(room, container)));
  await room.networks.restore(containers.flatMap(liveSandbox));
  const starts: Promise<void>[] = [];
  for (const container of containers) {
    if (container.task !== null) room.watchExit(container, container.task);
    else if (await settle(room, container)) starts.push(startWithEngine(room, container));
  }
  return starts;
}

/** A create that never got through: nobody knows its id. */
async function takeBack(room: Room, container: Container): Promise<void> {
  await room.storage.remove(container.id);
  rmSync(container.paths.directory, { recursive: true, force: true });
  room.db.transaction(() => {
    room.volumes.release(container.id);
    room.rows.delete(container.id);
  });
  await removeVolumes(room, container.id, anonymousVolumesOf(container));
}

async function removeStraySnapshots(room: Room): Promise<void> {
  const stray: string[] = [];
  for await (const { key, kind } of room.storage.walk()) {
    if (kind === 'active' && CONTAINER_ID.test(key) && room.registry.find(key) === null) stray.push(key);
  }
  for (const key of stray) await room.storage.remove(key);
}

async function adopt(room: Room, container: Container): Promise<void> {
  const starting = container.live.phase === 'starting';
  if (!isLive(container.state) && !starting) {
    await reclaim(room, container);
    return;
  }
  const task = await findTask(room, container);
  if (starting) {
    // Whoever asked for the start got no answer: it did not happen.
    task?.signal(9);
    await quietly(room, container, 'the process of a half-done start', async () => task?.delete());
    container.apply(
      {
        kind: 'start-failed',
        exitCode: 128,
        error: 'the engine was killed while it started the container',
        at: room.clock.now(),
      },
      { phase: 'settled' },
    );
    return;
  }
  container.task = task;
  if (task !== null) return;
  container.apply({
    kind: 'exited',
    exitCode: UNKNOWN_EXIT_CODE,
    at: room.clock.now(),
    oomKilled: false,
    error: 'the process and its monitor were gone when the engine started',
    restart: false,
  });
}

/** A daemon killed between writing an exit down and taking its monitor away leaves state and cgroup of the runtime. */
async function reclaim(room: Room, container: Container): Promise<void> {
  const runtime = room.runtimes.get(container.document.runtime);
  if (!container.live.hasStarted || runtime === undefined) return;
  try {
    const task = await room.monitor.adopt(container.id, runtime);
    await task?.delete();
  } catch (error) {
    room.logger.warn('what an ended container left could not be taken away', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}

/** Null also where looking fails: one container must not keep the engine, and all others, from coming up. */
async function findTask(room: Room, container: Container): Promise<Task | null> {
  try {
    return await room.monitor.adopt(container.id, runtimeNamed(room, container.document.runtime));
  } catch (error) {
    room.logger.error('what runs in a container could not be found', {
      container: container.id,
      reason: messageOf(error),
    });
    return null;
  }
}

function liveSandbox(
  container: Container,
): readonly { readonly containerId: Container['id']; readonly sandbox: SandboxState }[] {
  const { sandbox } = container.live;
  return container.task === null || sandbox === null ? [] : [{ containerId: container.id, sandbox }];
}

/** A container without a process: gives back what it held, then removes or rests it. True when it is to be started. */
async function settle(room: Room, container: Container): Promise<boolean> {
  await giveBack(room, container);
  const { state, document, live } = container;
  const { restartPolicy, autoRemove } = document.spec.host;
  if (
    state.status === 'removing' ||
    state.status === 'dead' ||
    (autoRemove && live.hasStarted && state.status === 'exited')
  ) {
    await container.mailbox
      .run(() => removeNow(room, container, { volumes: autoRemove || live.takesVolumes === true }))
      .catch((error: unknown) => {
        room.logger.warn('a removal could not be finished', { container: container.id, reason: messageOf(error) });
      });
    return false;
  }
  if (state.status === 'restarting') {
    planRestart(room, container, 0);
    return false;
  }
  container.ended.abort();
  const last = {
    exitCode: exitCodeOf(state),
    restartCount: restartCountOf(state),
    desired: live.desired,
    hasStarted: live.hasStarted,
  };
  return startsWithDaemon(restartPolicy, last);
}

/** Whether {@link recover} would start the container if the host went down now and came up again. */
export function startsAtBoot({ state, document, live }: Container): boolean {
  const { restartPolicy, autoRemove } = document.spec.host;
  if (autoRemove || state.status === 'removing' || state.status === 'dead') return false;
  if (state.status === 'restarting') return true;
  return startsWithDaemon(restartPolicy, {
    exitCode: isLive(state) ? UNKNOWN_EXIT_CODE : exitCodeOf(state),
    restartCount: restartCountOf(state),
    desired: live.desired,
    hasStarted: live.hasStarted,
  });
}

async function startWithEngine(room: Room, container: Container): Promise<void> {
  try {
    await container.mailbox.run(async () => {
      // An engine that is told to end at once need not start what it would have to stop.
      if (!room.closing) await startNow(room, container);
    });
  } catch (error) {
    room.logger.error('a container could not be started with the engine', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}
