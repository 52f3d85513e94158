/**
 * Checkpoints: the state of a container's processes on disk, to start it from later. Each is a directory by its name,
 * in the container's own `checkpoints` or wherever the client says; the processes are the runtime's and CRIU's matter
 * (runtime/checkpoints.ts). All words are dockerd's, and so are most of its kinds of error.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  messageOf,
  NotImplementedError,
} from '../../base/errors.ts';
import type { CheckpointPlace } from '../runtime/checkpoints.ts';
import type { Container } from './container.ts';
import { notRunning } from './errors.ts';
import { publish, runtimeNamed, type Room } from './room.ts';
import { isLive } from './state.ts';
import type { CheckpointRequest, CheckpointStart } from './types.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** How long the end of processes that were checkpointed away may take to reach us. */
const END_WAIT_MS = 10_000;

/** Writes a checkpoint of what runs. With `exit` it has ended when this resolves. */
export async function createCheckpoint(room: Room, ref: string, request: CheckpointRequest): Promise<void> {
  refuseUnlessOffered(room);
  const container = room.registry.resolve(ref);
  const given = new AbortController();
  const ended = container.waiters.add('next-exit', given.signal).catch(() => null);
  try {
    await container.mailbox.run(() => checkpoint(room, container, ref, request));
    if (request.exit) await orTooLate(room, ended);
  } finally {
    given.abort(new Error('not waited for'));
  }
}

async function checkpoint(room: Room, container: Container, ref: string, request: CheckpointRequest): Promise<void> {
  const { name, directory, exit } = request;
  if (!isLive(container.state)) throw notRunning(container.id);
  if (!NAME.test(name)) {
    throw new InternalError(`Invalid checkpoint ID (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  const failure = `Cannot checkpoint container ${ref}: `;
  // CRIU has no way to give a terminal's other end back to a monitor.
  if (container.document.spec.terminal) throw new InternalError('checkpoint not support on containers with tty');
  const runtime = runtimeNamed(room, container.document.runtime);
  const obstacle = await runtime.obstacleToCheckpoints();
  if (obstacle !== null) throw new NotImplementedError(`${failure}${obstacle}`);
  const imagePath = join(directoryOf(container, directory), name);
  makeNew(imagePath, name, ref);
  const workPath = workPathOf(container);
  mkdirSync(workPath, { recursive: true, mode: 0o700 });
  try {
    await runtime.checkpoint(container.id, { imagePath, workPath }, { leaveRunning: !exit });
  } catch (error) {
    rmSync(imagePath, { recursive: true, force: true });
    throw new InternalError(`${failure}${messageOf(error)}`, { cause: error });
  } finally {
    rmSync(workPath, { recursive: true, force: true });
  }
  publish(room, container, 'checkpoint');
}

/** Names of the checkpoints that there are. */
export function listCheckpoints(room: Room, ref: string, directory: string): readonly string[] {
  refuseUnlessOffered(room);
  const container = room.registry.resolve(ref);
  const path = directoryOf(container, directory);
  if (directory === '') mkdirSync(path, { recursive: true, mode: 0o700 });
  existing(path, '', ref);
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

export function removeCheckpoint(room: Room, ref: string, name: string, directory: string): void {
  refuseUnlessOffered(room);
  const container = room.registry.resolve(ref);
  // What cannot be a name may be a way out of the directory.
  if (!NAME.test(name)) throw notThere(name, ref);
  rmSync(existing(join(directoryOf(container, directory), name), name, ref), { recursive: true, force: true });
}

/** Refuses before a container is looked for, as dockerd does. */
export function refuseUnofferedStart(room: Room, from: CheckpointStart): void {
  if (from.name !== '' && !room.options.experimental) {
    throw new InvalidArgumentError('checkpoint is only supported in experimental mode');
  }
}

/** Where a start finds its checkpoint; null for one without. The caller removes the work path. */
export async function placeOfStart(
  room: Room,
  container: Container,
  { name, directory }: CheckpointStart,
): Promise<CheckpointPlace | null> {
  if (directory !== '') throw new ForbiddenError('custom checkpointdir is not supported');
  if (name === '') return null;
  const ref = `/${container.name}`;
  if (!NAME.test(name)) throw notThere(name, ref);
  const imagePath = existing(join(directoryOf(container, ''), name), name, ref);
  const obstacle = await runtimeNamed(room, container.document.runtime).obstacleToCheckpoints();
  if (obstacle !== null) throw new NotImplementedError(`Cannot restore container ${container.name}: ${obstacle}`);
  return { imagePath, workPath: workPathOf(container) };
}

function refuseUnlessOffered(room: Room): void {
  if (room.options.experimental) return;
  throw new NotImplementedError(
    'This experimental feature is disabled by default. ' +
      'Start the Docker daemon in experimental mode in order to enable it.',
  );
}

/** A relative one counts from dockerd's working directory, which is the root. */
function directoryOf({ paths }: Container, wished: string): string {
  return wished === '' ? join(paths.directory, 'checkpoints') : resolve('/', wished);
}

function workPathOf({ paths }: Container): string {
  return join(paths.bundle, 'criu');
}

function makeNew(path: string, name: string, ref: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) mkdirSync(path, { recursive: true, mode: 0o700 });
  else {
    const reason = found.isDirectory()
      ? `checkpoint with name ${name} already exists for container ${ref}`
      : `${path} exists and is not a directory`;
    throw new InternalError(`cannot checkpoint container ${ref}: ${reason}`);
  }
}

function existing(path: string, name: string, ref: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw notThere(name, ref);
  if (!found.isDirectory()) throw new InternalError(`${path} exists and is not a directory`);
  return path;
}

function notThere(name: string, ref: string): InternalError {
  return new InternalError(`checkpoint ${name} does not exist for container ${ref}`);
}

async function orTooLate(room: Room, ended: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  using _timer = room.clock.after(END_WAIT_MS, () => late.resolve());
  await Promise.race([ended, late.promise]);
}
