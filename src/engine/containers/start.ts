import { mkdirSync, rmSync } from 'node:fs';
import { ConflictError, messageOf } from '../../base/errors.ts';
import { Undo } from '../../base/undo.ts';
import type { SandboxState } from '../network/types.ts';
import { exitCodeOf } from '../runtime/errors.ts';
import type { AttachSession, Task } from '../runtime/monitor.ts';
import type { Container } from './container.ts';
import { sandboxRequestOf } from './create.ts';
import { markedForRemoval } from './errors.ts';
import { journalEntryOf } from './logs.ts';
import { lendsShm, prepareBundle } from './prepare.ts';
import { removeNow } from './removal.ts';
import { publish, publishVolumes, runtimeNamed, type Room } from './room.ts';

/** Starts by a user's wish; false when it runs already. */
export async function start(room: Room, ref: string): Promise<boolean> {
  const container = room.registry.resolve(ref);
  return container.mailbox.run(() => {
    // A user's start begins the policy's pauses anew.
    container.restartDelayMs = 0;
    return startNow(room, container);
  });
}

/**
 * Starts inside the container's mailbox. Everything set up is undone in reverse on failure; the container then shows
 * why, its waiters are told, and `--rm` takes it away.
 */
export async function startNow(room: Room, container: Container): Promise<boolean> {
  const { state } = container;
  switch (state.status) {
    case 'running':
      return false;
    case 'paused':
      throw new ConflictError('cannot start a paused container, try unpause instead');
    case 'removing':
    case 'dead':
      throw markedForRemoval();
    case 'created':
    case 'exited':
    case 'restarting':
      break;
  }
  if (container.removing) throw markedForRemoval();
  container.restartTimer?.[Symbol.dispose]();
  container.restartTimer = null;
  if (container.ended.signal.aborted) container.ended = new AbortController();
  container.update({ phase: 'starting', desired: 'running' });
  try {
    await Undo.guard((undo) => setUp(room, container, undo));
  } catch (error) {
    await failed(room, container, error);
    throw error;
  }
  return true;
}

async function setUp(room: Room, container: Container, undo: Undo): Promise<void> {
  const { paths, document } = container;
  await mountRoot(room, container, undo);
  const sandbox = await openSandbox(room, container, undo);
  if (sandbox !== null) container.update({ sandbox });
  undo.defer(() => rmSync(paths.bundle, { recursive: true, force: true }));
  if (lendsShm(container)) mountShm(room, container, undo);
  const runtime = runtimeNamed(room, document.runtime);
  const made = await prepareBundle(room, container, runtime, sandbox);
  const { openStdin, stdinOnce, terminal } = document.spec;
  const task = await room.monitor.create({
    containerId: container.id,
    runtime,
    bundlePath: paths.bundle,
    logPath: container.logPath,
    journal: journalEntryOf(room, container),
    terminal,
    stdin: openStdin,
    keepStdinOpen: openStdin && !stdinOnce,
  });
  undo.defer(() => task.delete());
  await connectParked(container, task);
  await task.start();
  const { cgroupsPath } = made.linux;
  container.apply(
    { kind: 'started', pid: task.pid, at: room.clock.now() },
    {
      phase: 'settled',
      hasStarted: true,
      ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
    },
  );
  container.task = task;
  container.process = made.process;
  publishVolumes(room, container, 'mount');
  publish(room, container, 'start');
  room.watchExit(container, task);
}

async function mountRoot(room: Room, { id, paths }: Container, undo: Undo): Promise<void> {
  mkdirSync(paths.rootfs, { recursive: true, mode: 0o710 });
  for (const mount of await room.storage.mounts(id)) {
    room.kernel.mounts.mount(mount, paths.rootfs);
    undo.defer(() => room.kernel.mounts.unmount(paths.rootfs, { lazy: true }));
  }
}

/** Null for host mode and for another container's network. */
async function openSandbox(room: Room, container: Container, undo: Undo): Promise<SandboxState | null> {
  const { spec } = container.document;
  if (spec.host.network.kind === 'container') return null;
  const request = { ...sandboxRequestOf(spec), containerId: container.id, containerName: container.name };
  const sandbox = await room.networks.setUp(request);
  undo.defer(() => room.networks.tearDown(container.id, sandbox));
  return sandbox;
}

function mountShm(room: Room, { paths, document }: Container, undo: Undo): void {
  mkdirSync(paths.shm, { recursive: true, mode: 0o1777 });
  const size = document.spec.host.shmSizeBytes ?? room.options.defaultShmSizeBytes;
  const options = ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${String(size)}`];
  room.kernel.mounts.mount({ type: 'tmpfs', source: 'shm', options }, paths.shm);
  undo.defer(() => room.kernel.mounts.unmount(paths.shm, { lazy: true }));
}

/** Attaches that came before the process are connected before it runs: they miss nothing. */
async function connectParked(container: Container, task: Task): Promise<void> {
  for (const parked of [...container.parked]) {
    container.parked.delete(parked);
    const session: AttachSession | null = await task.attach().catch(() => null);
    parked(session);
  }
}

async function failed(room: Room, container: Container, error: unknown): Promise<void> {
  const exitCode = startFailureCode(error);
  const event = { kind: 'start-failed', exitCode, error: messageOf(error), at: room.clock.now() } as const;
  try {
    // Still wanted: the next daemon tries again what a policy starts.
    container.apply(event, { phase: 'settled', sandbox: null });
  } catch (unwritten) {
    // On a full disk the row stays `starting`, which the next daemon takes for what it is: a start that did not happen.
    room.logger.error('a failed start could not be written down', {
      container: container.id,
      reason: messageOf(unwritten),
    });
    container.believe(event);
  }
  for (const parked of container.parked) parked(null);
  container.parked.clear();
  container.ended.abort();
  // Whoever asked for the start gets the reason; a wait beside it only learns that it is over.
  container.waiters.exited({ exitCode, error: null });
  if (container.document.spec.host.autoRemove && !container.removing) {
    await removeNow(room, container, { volumes: true }).catch((removal: unknown) => {
      room.logger.error('automatic removal failed', { container: container.id, reason: messageOf(removal) });
    });
  }
}

/** Docker's code for a start that failed: 126 and 127 as a shell's, else 128. */
function startFailureCode(error: unknown): number {
  const code = exitCodeOf(error);
  return code === 126 || code === 127 ? code : 128;
}
