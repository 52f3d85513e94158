import { chownSync, mkdirSync, rmSync } from 'node:fs';
import { ConflictError, messageOf } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { SandboxOwner, SandboxRequest } from '../../network/types.ts';
import { idOnHost, type IdMapping } from '../../oci/id-mapping.ts';
import { exitCodeOf } from '../../runtime/errors.ts';
import type { CheckpointPlace } from '../../runtime/checkpoints.ts';
import type { AttachSession, Task } from '../../runtime/monitor.ts';
import { placeOfStart, refuseUnofferedStart } from '../checkpoints.ts';
import type { Container } from '../container.ts';
import { markedForRemoval } from '../errors.ts';
import { applyFact } from './facts.ts';
import { watchHealth } from '../health.ts';
import { readyLog } from '../streams/logs.ts';
import { releaseMounts } from '../mounts/resolution.ts';
import { releaseSnapshots, rootMounts } from '../mounts/snapshots.ts';
import { mountTree, unmountTree } from '../mounts/tree.ts';
import { openedBy, refreshHolders } from '../setup/links.ts';
import { lendsShm } from '../namespaces.ts';
import { sandboxRequestOf } from '../networks.ts';
import { prepareBundle } from '../setup/prepare.ts';
import { makeProcess, openNetwork } from './network.ts';
import { removeNow } from './removal.ts';
import { layOutSecrets } from '../secrets/lay-out.ts';
import { removeMountPoints } from '../secrets/mount-points.ts';
import { publish, publishVolumes, runtimeNamed, type Room } from '../room.ts';
import { isLive } from '../state.ts';
import { refuseOtherStorage } from '../storage.ts';
import type { CheckpointStart } from '../types.ts';
import { mapRoot, openTheWay, planUserns, rootOf, type UsernsPlan } from '../userns.ts';

/** Whose an id is that is not mapped, as the kernel shows it. */
const NOBODY = 65_534;

/** From no checkpoint. */
const ANEW: CheckpointStart = { name: '', directory: '' };

/** Starts by a user's wish; false when it runs already. */
export async function start(room: Room, ref: string, from: CheckpointStart = ANEW): Promise<boolean> {
  refuseUnofferedStart(room, from);
  const container = room.registry.resolve(ref);
  return container.mailbox.run(() => {
    // To Docker one that waits for its next start runs: the pause is not cut short.
    if (container.state.status === 'restarting' && !container.removing) return false;
    // A user's start begins the policy's pauses anew.
    container.restartDelayMs = 0;
    if (!isLive(container.state)) forgetUnhealthy(container);
    return startNow(room, container, from);
  });
}

/** A user's start is a new beginning, also for what is done about a container that is unhealthy. */
export function forgetUnhealthy(container: Container): void {
  if ((container.live.unhealthy ?? null) !== null) container.update({ unhealthy: null });
}

/**
 * Starts inside the container's mailbox. Everything set up is undone in reverse on failure; the container then shows
 * why, its waiters are told, and `--rm` takes it away.
 */
export async function startNow(room: Room, container: Container, from: CheckpointStart = ANEW): Promise<boolean> {
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
  if (container.removing || container.isUsedUp) throw markedForRemoval();
  container.restartTimer?.[Symbol.dispose]();
  container.restartTimer = null;
  container.endsForGood = false;
  if (container.ended.signal.aborted) container.ended = new AbortController();
  container.update({ phase: 'starting', desired: 'running' });
  try {
    refuseOtherStorage(room, container);
    const restore = await placeOfStart(room, container, from);
    await Undo.guard((undo) => setUp(room, container, restore, undo));
  } catch (error) {
    await failed(room, container, error);
    throw error;
  }
  return true;
}

async function setUp(room: Room, container: Container, restore: CheckpointPlace | null, undo: Undo): Promise<void> {
  const { paths, document } = container;
  // That it has ended is written now.
  await container.spent?.delete();
  container.spent = null;
  // Views of copies hold the layer that is about to be mounted.
  await container.copies.settle(room.clock);
  const userns = planUserns(room, container);
  if (userns !== null) openTheWay(container, userns.mapping);
  undo.defer(() => releaseSnapshots(room, container));
  await mountRoot(room, container, undo);
  const network = await openNetwork(room, container, networkRequest(room, container, userns), undo);
  undo.defer(() => rmSync(paths.bundle, { recursive: true, force: true }));
  if (lendsShm(container)) mountShm(room, container, userns, undo);
  undo.defer(() => removeMountPoints(room, container));
  const secrets = await layOutSecrets(room, container, undo, userns === null ? undefined : idsOf(userns.mapping));
  const runtime = runtimeNamed(room, document.runtime);
  undo.defer(() => releaseMounts(room, container));
  const made = await prepareBundle(room, container, { runtime, sandbox: network.state, secrets, userns }, undo);
  if (userns !== null) await mapRoot(room, container, userns.mapping);
  const { openStdin, stdinOnce, terminal } = document.spec;
  if (restore !== null) mkdirSync(restore.workPath, { mode: 0o700 });
  const request = {
    containerId: container.id,
    runtime,
    bundlePath: paths.bundle,
    logPath: container.logPath,
    journal: await readyLog(room, container),
    terminal,
    stdin: openStdin,
    keepStdinOpen: openStdin && !stdinOnce,
    restore,
  };
  const task = await makeProcess(room, network, request, made, undo);
  room.kernel.userNamespaces.remove(paths.userns);
  await connectParked(container, task);
  await task.start();
  const { cgroupsPath } = made.linux;
  const { apparmorProfile } = made.process;
  container.apply(
    { kind: 'started', pid: task.pid, at: room.clock.now() },
    {
      phase: 'settled',
      hasStarted: true,
      idMapping: userns?.mapping ?? null,
      ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
      ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    },
  );
  container.task = task;
  container.process = made.process;
  watchHealth(room, container, 'new');
  publishVolumes(room, container, 'mount');
  publish(room, container, 'start');
  refreshHolders(room, container);
  room.watchExit(container, task);
}

async function mountRoot(room: Room, container: Container, undo: Undo): Promise<void> {
  const { paths } = container;
  mkdirSync(paths.rootfs, { recursive: true, mode: 0o710 });
  for (const mount of await rootMounts(room, container)) {
    await mountTree(room, mount, paths.rootfs);
    undo.defer(async () => {
      // Nothing is there where the mapped root could not take the plain one's place.
      if (room.kernel.mounts.listBelow(paths.rootfs).length > 0) await unmountTree(room, paths.rootfs);
    });
  }
}

function networkRequest(room: Room, container: Container, userns: UsernsPlan | null): SandboxRequest {
  const { spec } = container.document;
  const owner = userns === null ? {} : { userns: ownerOf(container, userns) };
  const { id: containerId, name: containerName } = container;
  const opened = openedBy(room, container);
  const linked = opened.length === 0 ? {} : { opened };
  return { ...sandboxRequestOf(spec, room.options), ...owner, ...linked, containerId, containerName };
}

function ownerOf({ paths }: Container, { mapping, joined }: UsernsPlan): SandboxOwner {
  return joined === null ? { path: paths.userns, mapping } : { joined };
}

function mountShm(room: Room, { paths, document }: Container, userns: UsernsPlan | null, undo: Undo): void {
  mkdirSync(paths.shm, { recursive: true, mode: 0o1777 });
  const size = document.spec.host.shmSizeBytes ?? room.options.defaultShmSizeBytes;
  const options = ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${String(size)}`];
  room.kernel.mounts.mount({ type: 'tmpfs', source: 'shm', options }, paths.shm);
  undo.defer(() => room.kernel.mounts.unmount(paths.shm, { lazy: true }));
  if (userns === null) return;
  const { uid, gid } = rootOf(userns.mapping);
  chownSync(paths.shm, uid, gid);
}

function idsOf({ uids, gids }: IdMapping): NonNullable<Parameters<typeof layOutSecrets>[3]> {
  // An id that is nobody's inside is nobody's: the overflow id of the kernel.
  return { hostUid: (id) => idOnHost(uids, id) ?? NOBODY, hostGid: (id) => idOnHost(gids, id) ?? NOBODY };
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
  // Still wanted: the next daemon tries again what a policy starts. On a full disk the row stays `starting`, which the
  // next daemon takes for what it is: a start that did not happen.
  applyFact(room, container, event, { phase: 'settled', sandbox: null });
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
