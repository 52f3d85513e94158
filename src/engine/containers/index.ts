/**
 * The containers room: what containers there are, what they are doing, and every verb on them. It composes the rooms
 * below (images, storage, network, runtime, logging, volumes) and is the only one that knows a container as a whole.
 * Each container is an actor (container.ts); each verb is one file.
 */
import { messageOf } from '../../base/errors.ts';
import type { ImageUsers } from '../images/types.ts';
import type { SecretUsers } from '../secrets/types.ts';
import { isDescribable } from '../storage/driver.ts';
import { archivePath, extractTo, statPath } from './archive.ts';
import { attach } from './streams/attach.ts';
import { createCheckpoint, listCheckpoints, removeCheckpoint } from './checkpoints.ts';
import { commit } from './images/commit.ts';
import { create } from './create/create.ts';
import { notRunning } from './errors.ts';
import { createExec, findExec, resizeExec, signalExec, startExec, startExecDetached } from './exec/exec.ts';
import { viewOfExec } from './exec/record.ts';
import { watchExit } from './life/exit.ts';
import { removeLink } from './setup/links.ts';
import { linkNames } from './setup/link-names.ts';
import { logs } from './streams/logs.ts';
import { networkVerbs } from './networks.ts';
import type { ContainersDependencies, ContainersOptions } from './options.ts';
import { pause, unpause } from './life/pause.ts';
import { recover, startsAtBoot } from './life/recover.ts';
import { remove } from './life/remove.ts';
import { rename } from './life/rename.ts';
import { findProgram, openRoot } from './setup/root.ts';
import { createRoom, type Room } from './room.ts';
import { sizes } from './sizes.ts';
import type { StepContainers } from './steps.ts';
import { stepVerbs } from './steps/verbs.ts';
import { start } from './life/start.ts';
import { isLive } from './state.ts';
import { kill, restart, stop, stopContainer } from './life/stop.ts';
import { top } from './top.ts';
import { changesOf, exportTree } from './images/tree.ts';
import type { Containers } from './types.ts';
import { actOnHealth } from './unhealthy.ts';
import { followUsage, usageOf } from './usage.ts';
import { update } from './update.ts';
import { wait } from './life/wait.ts';

/** The room with what only the composition root uses. */
export interface EngineContainers extends Containers, StepContainers, ImageUsers, SecretUsers {
  /**
   * Gives new defaults: for containers made from now on, and for what is read when it is needed. Containers that exist
   * keep what they were made with.
   */
  reconfigure(changes: Partial<ContainersOptions>): void;
  /** How many have a process, and how many wait for their next start. */
  counts(): { readonly live: number; readonly restarting: number };
  /** True when the engine would start a container by itself after a boot. */
  hasWorkAtBoot(): boolean;
  /** Reads the state, adopts what runs, cleans up what a killed daemon left. Before any other verb; once. */
  recover(): Promise<void>;
  /** Resolves when what {@link recover} starts has been started, or could not be; after `limitMs` in any case. */
  started(limitMs: number): Promise<void>;
  /** Lets go of everything; stops containers first where asked (Docker's way without live-restore). Idempotent. */
  close(options: { readonly stopContainers: boolean }): Promise<void>;
}

export function createContainers(dependencies: ContainersDependencies, options: ContainersOptions): EngineContainers {
  const room = createRoom(dependencies, options, { watchExit, actOnHealth });
  let starts: readonly Promise<void>[] = [];
  return {
    get: (ref) => room.registry.resolve(ref).view(),
    list: () => newestFirst(room),
    create: (request) => create(room, request),
    start: (ref, from) => start(room, ref, from),
    createCheckpoint: (ref, request) => createCheckpoint(room, ref, request),
    listCheckpoints: (ref, directory) => listCheckpoints(room, ref, directory),
    removeCheckpoint: (ref, name, directory) => removeCheckpoint(room, ref, name, directory),
    stop: (ref, how) => stop(room, ref, how),
    restart: (ref, how) => restart(room, ref, how),
    kill: (ref, signal) => kill(room, ref, signal),
    pause: (ref) => pause(room, ref),
    unpause: (ref) => unpause(room, ref),
    ...networkVerbs(room),
    rename: (ref, name) => rename(room, ref, name),
    update: (ref, change) => update(room, ref, change),
    remove: (ref, how) => remove(room, ref, how),
    linkNames: () => linkNames(room.registry.all()),
    removeLink: (name) => removeLink(room, name),
    wait: (ref, condition, signal) => wait(room, ref, condition, signal),
    attach: (ref, how) => attach(room, ref, how),
    resize: (ref, size) => resize(room, ref, size),
    logs: (ref, how) => logs(room, ref, how),
    createExec: (ref, spec) => createExec(room, ref, spec),
    getExec: (id) => viewOfExec(findExec(room, id).exec),
    startExecDetached: (id) => startExecDetached(room, id),
    startExec: async (id, how) => startExec(room, id, how),
    resizeExec: (id, size) => resizeExec(room, id, size),
    signalExec: (id, signal) => signalExec(room, id, signal),
    sizes: (ref) => sizes(room, ref),
    commit: (ref, how) => commit(room, ref, how),
    export: (ref, signal) => exportTree(room, ref, signal),
    changes: (ref, signal) => changesOf(room, ref, signal),
    ...stepVerbs(room),
    statPath: (ref, path, signal) => statPath(room, ref, path, signal),
    archivePath: (ref, path, signal) => archivePath(room, ref, path, signal),
    extractTo: (ref, path, input) => extractTo(room, ref, path, input),
    describeStorage: (ref) => describeStorage(room, ref),
    top: (ref, psArguments, signal) => top(room, ref, psArguments, signal),
    usage: async (ref) => usageOf(room, room.registry.resolve(ref)),
    usagePair: async (ref, signal) => room.sampler.pair(room.registry.resolve(ref), signal),
    followUsage: (ref, signal) => followUsage(room, room.registry.resolve(ref), signal),
    openRoot: (ref) => openRoot(room, ref),
    findProgram: (ref, paths) => findProgram(room, ref, paths),
    watch: (listener) => room.changes.watch(listener),
    containersOf: (imageId) => room.registry.usersOf(imageId).map(({ id, state }) => ({ id, running: isLive(state) })),
    secretUsersOf: (name) =>
      room.registry.all().filter(({ document }) => document.secrets?.some((secret) => secret.name === name) === true),
    reconfigure: (changes) => void (room.options = { ...room.options, ...changes }),
    counts: () => counts(room),
    hasWorkAtBoot: () => room.registry.all().some(startsAtBoot),
    recover: async () => void (starts = await recover(room)),
    async started(limitMs) {
      const late = Promise.withResolvers<void>();
      using _timer = room.clock.after(limitMs, () => late.resolve());
      await Promise.race([Promise.all(starts), late.promise]);
    },
    async close({ stopContainers }) {
      room.closing = true;
      room.over.abort(new Error('the engine ends'));
      room.logRotation[Symbol.dispose]();
      endTimers(room);
      if (stopContainers) await stopAll(room);
    },
  };
}

function endTimers(room: Room): void {
  for (const { restartTimer, healthWatch } of room.registry.all()) {
    restartTimer?.[Symbol.dispose]();
    // Not the end of its health: the next engine goes on.
    healthWatch?.[Symbol.dispose]();
  }
}

function counts(room: Room): ReturnType<EngineContainers['counts']> {
  const all = room.registry.all();
  return {
    live: all.filter(({ state, live }) => isLive(state) || live.phase === 'starting').length,
    restarting: all.filter(({ state }) => state.status === 'restarting').length,
  };
}

function newestFirst(room: Room): ReturnType<Containers['list']> {
  return room.registry
    .all()
    .map((container) => container.view())
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
}

async function resize(
  room: Room,
  ref: string,
  size: { readonly height: number; readonly width: number },
): Promise<void> {
  const container = room.registry.resolve(ref);
  if (container.task === null) throw notRunning(container.id);
  await container.task.resize(size);
}

async function describeStorage(room: Room, ref: string): ReturnType<Containers['describeStorage']> {
  const { id, state, paths, document } = room.registry.resolve(ref);
  if (document.storageDriver !== room.storage.name) return {};
  return isDescribable(room.storage) ? room.storage.describe(id, isLive(state) ? paths.rootfs : null) : {};
}

/**
 * All at once, each with its own time, as dockerd: a database that was given two minutes has them. Only a container that
 * may take for ever is bounded, by the engine's own shutdown timeout.
 */
async function stopAll(room: Room): Promise<void> {
  const { shutdownTimeoutSeconds: limit, defaultStopTimeoutSeconds } = room.options;
  await Promise.all(
    room.registry.all().map(async (container) => {
      const own = container.document.spec.stopTimeoutSeconds ?? defaultStopTimeoutSeconds;
      await stopContainer(room, container, { signal: null, timeoutSeconds: own < 0 ? limit : own, byUser: false })
        .then(() => container.mailbox.idle())
        // One that the kernel holds must not keep the others, and the engine, from ending in good order.
        .catch((error: unknown) => {
          room.logger.error('a container could not be stopped with the engine', {
            container: container.id,
            reason: messageOf(error),
          });
        });
    }),
  );
}
