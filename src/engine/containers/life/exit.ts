import { messageOf } from '../../../base/errors.ts';
import type { Task, TaskExit } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import { applyBeside, applyFact } from './facts.ts';
import { endWatch } from '../health.ts';
import { boundLog } from '../streams/logs.ts';
import { releaseMounts } from '../mounts/resolution.ts';
import { releaseSnapshots } from '../mounts/snapshots.ts';
import { unmountTree } from '../mounts/tree.ts';
import { removeNow } from './removal.ts';
import { publish, publishVolumes, type Room } from '../room.ts';
import { restartDelayMs } from './restart-policy.ts';
import { removeMountPoints } from '../secrets/mount-points.ts';
import { startNow } from './start.ts';
import { isLive, restartCountOf } from '../state.ts';

const NS_PER_MS = 1_000_000n;
const NS_PER_S = 1_000_000_000n;

/** Bounds the log of a live process and puts its end into its container's mailbox, whenever it comes. */
export function watchExit(room: Room, container: Container, task: Task): void {
  const bounded = boundLog(room, container, task);
  void task.exit.then((exit) => {
    bounded?.[Symbol.dispose]();
    container.mailbox
      .run(() => onExit(room, container, task, exit))
      .catch((error: unknown) => {
        room.logger.error('the end of a container could not be dealt with', {
          container: container.id,
          reason: messageOf(error),
        });
      });
  });
}

/** The process has ended: persist, publish, give everything back, then restart, remove, or rest. */
async function onExit(room: Room, container: Container, task: Task, exit: TaskExit): Promise<void> {
  const { state } = container;
  if (container.task !== task || !isLive(state)) return;
  const ranNs = exit.exitedAt - state.startedAt;
  const stays = room.closing || container.removing || container.restarting;
  const delayMs = stays ? null : plannedDelayMs(container, exit.exitCode, ranNs);
  const event = {
    kind: 'exited',
    exitCode: exit.exitCode,
    at: exit.exitedAt,
    oomKilled: exit.oomKilled,
    error: exit.error ?? '',
    restart: delayMs !== null,
  } as const;
  const heard = container.audience.heard(room.clock);
  const isWritten = applyFact(room, container, event);
  container.task = null;
  container.process = null;
  endWatch(room, container);
  if (exit.oomKilled) publish(room, container, 'oom');
  const execDuration = String(ranNs > 0n ? ranNs / NS_PER_S : 0n);
  publish(room, container, 'die', { exitCode: String(exit.exitCode), execDuration });
  await giveBack(room, container);
  publishVolumes(room, container, 'unmount');
  if (delayMs === null) container.ended.abort();
  await heard;
  container.waiters.exited({ exitCode: exit.exitCode, error: exit.error });
  // Where the exit could not be written down, the monitor's own note of it stays for the next daemon.
  if (!isWritten) container.spent = task;
  else await quietly(room, container, 'its monitor and cgroup', () => task.delete());
  if (delayMs !== null) planRestart(room, container, delayMs);
  else if (container.document.spec.host.autoRemove && !container.removing && !container.restarting && !room.closing) {
    await removeNow(room, container, { volumes: true });
  }
}

function plannedDelayMs(container: Container, exitCode: number, ranNs: bigint): number | null {
  return restartDelayMs(container.document.spec.host.restartPolicy, {
    exitCode,
    ranMs: Number(ranNs / NS_PER_MS),
    restartCount: restartCountOf(container.state),
    previousDelayMs: container.restartDelayMs,
    desired: container.live.desired,
    endsForGood: container.endsForGood,
  });
}

/** Network, mounts and bundle of a container without a process; each failure is told and stops none of the others. */
export async function giveBack(room: Room, container: Container): Promise<void> {
  const { sandbox } = container.live;
  if (sandbox !== null) {
    await quietly(room, container, 'its network', async () => {
      await room.networks.tearDown(container.id, sandbox);
      applyBeside(room, container, { sandbox: null }, 'the end of a network');
    });
  }
  await quietly(room, container, 'what its secrets were mounted on', async () => removeMountPoints(room, container));
  const { directory, bundle } = container.paths;
  for (const path of [directory, bundle].flatMap((place) => room.kernel.mounts.listBelow(place))) {
    await quietly(room, container, `the mount on ${path}`, async () => unmountTree(room, path));
  }
  await quietly(room, container, 'its volumes', async () => releaseMounts(room, container));
  await quietly(room, container, 'its snapshots', async () => releaseSnapshots(room, container));
}

/** Plans the next start by policy. */
export function planRestart(room: Room, container: Container, delayMs: number): void {
  container.restartDelayMs = delayMs;
  container.restartTimer = room.clock.after(delayMs, () => {
    container.restartTimer = null;
    void container.mailbox
      .run(async () => {
        if (container.state.status !== 'restarting' || room.closing) return;
        await startNow(room, container);
      })
      .catch((error: unknown) => {
        room.logger.warn('a restart by policy failed', { container: container.id, reason: messageOf(error) });
      });
  });
}

/** Does what must not keep the rest from being done: a failure is only told. */
export async function quietly(room: Room, container: Container, what: string, job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    room.logger.warn(`${what} could not be given back`, { container: container.id, reason: messageOf(error) });
  }
}
