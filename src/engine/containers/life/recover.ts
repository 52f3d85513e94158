/**
 * Start-up is recovery: the rows are read, what runs is adopted, and what happened meanwhile is fed in as messages. A
 * killed daemon may have left a container half created (`creating`), half started (`starting`) or half removed.
 */
import { rmSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { SandboxState } from '../../network/types.ts';
import type { Task } from '../../runtime/monitor.ts';
import type { ContainerRow } from '../../state/containers.ts';
import { startInOrder } from '../boot/start-in-order.ts';
import { thawLeftOver } from '../images/commit.ts';
import type { Container } from '../container.ts';
import { adoptExecs } from '../exec/adopt.ts';
import { volumeNamesOf } from '../create/create.ts';
import { giveBack, planRestart, quietly } from './exit.ts';
import { applyFact } from './facts.ts';
import { watchHealth } from '../health.ts';
import { unmountRoot } from '../mounts/fill.ts';
import { ownerOfView } from '../mounts/image-views.ts';
import { resumeLog } from '../streams/logs.ts';
import { decodeRow, sandboxIn } from '../record.ts';
import { anonymousVolumesOf, reclaimTask, removeNow, removeVolumes } from './removal.ts';
import { startsWithDaemon } from './restart-policy.ts';
import { actorOf, runtimeNamed, type Room } from '../room.ts';
import { exitCodeOf, isLive, restartCountOf } from '../state.ts';
import { storageOf } from '../storage.ts';

/** dockerd's code for a process of which nothing is known, as after a reboot. */
const UNKNOWN_EXIT_CODE = 255;
const CONTAINER_ID = /^[0-9a-f]{64}$/;

/** Returns the starts that it began; none of them rejects. */
export async function recover(room: Room): Promise<readonly Promise<void>[]> {
  const unreadable = new Map<ContainerId, SandboxState | null>();
  for (const row of room.rows.all()) {
    const container = actorFrom(room, row);
    if (container === null) {
      unreadable.set(row.id, sandboxIn(row));
      continue;
    }
    if (container.live.phase === 'creating') {
      await quietly(room, container, 'what was made of a container', () => takeBack(room, container));
      continue;
    }
    room.registry.reserveName(container.name, container.id);
    room.registry.add(container);
  }
  await removeStraySnapshots(room, unreadable);
  const containers = room.registry.all();
  await Promise.all(containers.map((container) => adopt(room, container)));
  await adoptExecs(room, unreadable);
  await room.networks.restore([...containers.flatMap(liveSandbox), ...[...unreadable].flatMap(sandboxKept)]);
  await room.volumes.settle(volumesInUse(containers));
  const starting: Container[] = [];
  for (const container of containers) {
    if (container.task !== null) {
      room.watchExit(container, container.task);
      watchHealth(room, container, 'again');
    } else {
      resumeLog(room, container);
      if (await settle(room, container)) starting.push(container);
    }
  }
  return startInOrder(room, starting);
}

/**
 * Null for a row that cannot be read: one damaged container must not keep the engine, and all others, from coming up. Its
 * row, name, files, network and process stay as they are, for whoever brings the state file back.
 */
function actorFrom(room: Room, row: ContainerRow): Container | null {
  try {
    return actorOf(room, decodeRow(row));
  } catch (error) {
    room.registry.reserveName(row.name, row.id);
    room.logger.error('a container cannot be read from the state file and is left alone', {
      container: row.id,
      name: row.name,
      reason: messageOf(error),
    });
    return null;
  }
}

function volumesInUse(containers: readonly Container[]): ReadonlyMap<Container['id'], readonly string[]> {
  const running = containers.filter(({ task }) => task !== null);
  return new Map(running.map(({ id, document }) => [id, volumeNamesOf(document.mounts)]));
}

/** A create that never got through: nobody knows its id. */
async function takeBack(room: Room, container: Container): Promise<void> {
  await unmountRoot(room, container);
  await (await storageOf(room, container)).remove(container.id);
  rmSync(container.paths.directory, { recursive: true, force: true });
  room.db.transaction(() => {
    room.volumes.release(container.id);
    room.rows.delete(container.id);
  });
  await removeVolumes(room, container.id, anonymousVolumesOf(container));
}

async function removeStraySnapshots(room: Room, unreadable: ReadonlyMap<string, unknown>): Promise<void> {
  const stray: string[] = [];
  for await (const { key, kind } of room.storage.walk()) {
    const owner = kind === 'active' && CONTAINER_ID.test(key) ? key : ownerOfView(key);
    if (owner !== null && room.registry.find(owner) === null && !unreadable.has(owner)) stray.push(key);
  }
  for (const key of stray) {
    await room.storage.remove(key).catch((error: unknown) => {
      room.logger.warn('what nobody knows of could not be removed', { snapshot: key, reason: messageOf(error) });
    });
  }
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
    const error = 'the engine was killed while it started the container';
    const event = { kind: 'start-failed', exitCode: 128, error, at: room.clock.now() } as const;
    applyFact(room, container, event, { phase: 'settled' });
    return;
  }
  container.task = task;
  if (task !== null) {
    await quietly(room, container, 'the pause of a commit', async () => thawLeftOver(room, container));
    return;
  }
  // A full disk must not keep the engine from coming up.
  applyFact(room, container, {
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
  await quietly(room, container, 'what was left of its process', async () => reclaimTask(room, container));
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

function sandboxKept([containerId, sandbox]: readonly [ContainerId, SandboxState | null]): ReturnType<
  typeof liveSandbox
> {
  return sandbox === null ? [] : [{ containerId, sandbox }];
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
