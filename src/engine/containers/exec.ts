import { readFileSync } from 'node:fs';
import { ConflictError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { newId, type ExecId } from '../../base/ids.ts';
import type { ProcessSpec, RuntimeSpec } from '../oci/runtime-spec.ts';
import { exitCodeOf as codeOfFailure } from '../runtime/errors.ts';
import type { AttachSession, Task } from '../runtime/monitor.ts';
import type { Container } from './container.ts';
import { copyStreams } from './copy-streams.ts';
import { NO_KEYS, parseDetachKeys } from './detach-keys.ts';
import { isRestarting, noSuchExec, notRunning } from './errors.ts';
import type { Exec, ExecState } from './exec-record.ts';
import { publish, runtimeNamed, type Room } from './room.ts';
import { parseSignal } from './signals.ts';
import { execProcessOf } from './spec/runtime-spec.ts';
import { resolveUser } from './user.ts';
import type { Attachment, ClientStreams, ExecSpec } from './types.ts';

/** How long an ended exec can still be inspected. */
const RECORD_LIFE_MS = 5 * 60 * 1000;
/** How long output is awaited that a child of the exec still holds open after it: dockerd's bound. */
const DRAIN_MS = 2000;

/** Checks and records an exec; nothing runs yet. */
export async function createExec(room: Room, ref: string, spec: ExecSpec): Promise<ExecId> {
  const container = room.registry.resolve(ref);
  refuseIdle(container, ref);
  if (spec.command.length === 0) throw new InvalidArgumentError('No exec command specified');
  parseDetachKeys(spec.detachKeys);
  const id = newId<ExecId>();
  room.registry.addExec(container, {
    id,
    containerId: container.id,
    spec,
    state: { kind: 'created' },
    settled: Promise.withResolvers(),
  });
  room.changes.tell({ kind: 'exec-added', containerId: container.id, execId: id });
  container.touch();
  publish(room, container, `exec_create: ${spec.command.join(' ')}`, { execID: id });
  return id;
}

/** The exec with its container. NotFoundError. */
export function findExec(room: Room, id: string): { readonly container: Container; readonly exec: Exec } {
  const found = room.registry.findExec(id as ExecId);
  if (found !== null) return found;
  throw noSuchExec(id);
}

/** Starts without a client; returns when it runs. */
export async function startExecDetached(room: Room, id: string): Promise<void> {
  const { container, exec } = startable(room, id);
  const { task } = await begin(room, container, exec, {
    terminal: exec.spec.terminal,
    consoleSize: null,
    attach: false,
  });
  void task.exit.then(({ exitCode }) => end(room, container, exec, exitCode, task.pid));
}

/** Checks that it can start; the process starts within `run`, whose client gets also the reason of a failed start. */
export function startExec(
  room: Room,
  id: string,
  options: { readonly terminal: boolean; readonly consoleSize: readonly [number, number] | null },
): Attachment {
  const { container, exec } = startable(room, id);
  const keys = parseDetachKeys(exec.spec.detachKeys);
  return {
    terminal: options.terminal,
    run: async (client) => {
      let started: Begun;
      try {
        started = await begin(room, container, exec, { ...options, attach: true });
      } catch (error) {
        await client.output.write('stdout', Buffer.from(`${messageOf(error)}\r\n`));
        return;
      }
      await serve(room, container, exec, started, client, keys);
    },
  };
}

export async function resizeExec(
  room: Room,
  id: string,
  size: { readonly height: number; readonly width: number },
): Promise<void> {
  const { exec } = findExec(room, id);
  // The CLI asks for the size as soon as it has asked for the start.
  if (exec.state.kind === 'starting') await exec.settled.promise;
  if (exec.state.kind !== 'running') throw new ConflictError(`exec process is not started: ${id}`);
  await exec.state.task.resize(size);
}

/** Signals its process. ConflictError when that does not run. */
export async function signalExec(room: Room, id: string, signalText: string): Promise<void> {
  const { exec } = findExec(room, id);
  const signal = parseSignal(signalText);
  if (exec.state.kind === 'starting') await exec.settled.promise;
  if (exec.state.kind !== 'running' || !exec.state.task.signal(signal)) {
    throw new ConflictError(`exec process is not running: ${id}`);
  }
}

interface Begun {
  readonly task: Task;
  readonly session: AttachSession | null;
}

async function serve(
  room: Room,
  container: Container,
  exec: Exec,
  { task, session }: Begun,
  client: ClientStreams,
  keys: Buffer,
): Promise<void> {
  const { attachStdin, attachStdout, attachStderr, terminal } = exec.spec;
  const options = {
    keys: terminal ? keys : NO_KEYS,
    stdin: attachStdin,
    stdout: attachStdout,
    stderr: attachStderr,
    closeStdin: !terminal,
  };
  const over = new AbortController();
  const signal = AbortSignal.any([client.signal, over.signal]);
  const { stdin, output } = client;
  const copied = session === null ? Promise.resolve(false) : copyStreams(session, { stdin, output, signal }, options);
  // The code is known to inspect before the client's stream ends: clients ask for it then.
  const ended = task.exit.then(({ exitCode }) => end(room, container, exec, exitCode, task.pid));
  const first = await Promise.race([
    copied.then((detached) => (detached || client.signal.aborted ? 'left' : 'drained')),
    ended.then(() => 'ended' as const),
  ]);
  if (first === 'drained') await ended;
  if (first !== 'ended') return;
  const patience = Promise.withResolvers<undefined>();
  using _timer = room.clock.after(DRAIN_MS, () => patience.resolve(undefined));
  await Promise.race([copied, patience.promise]);
  over.abort();
}

function startable(room: Room, id: string): { readonly container: Container; readonly exec: Exec } {
  const found = findExec(room, id);
  refuseSecondStart(found.exec);
  refuseIdle(found.container, found.container.id);
  return found;
}

/** Asked twice: two clients may have been let in before the first one's process is begun. */
function refuseSecondStart({ id, state }: Exec): void {
  if (state.kind === 'ended') throw new ConflictError(`exec command ${id} has already run`);
  if (state.kind !== 'created') throw new ConflictError(`exec command ${id} is already running`);
}

async function begin(
  room: Room,
  container: Container,
  exec: Exec,
  options: {
    readonly terminal: boolean;
    readonly consoleSize: readonly [number, number] | null;
    readonly attach: boolean;
  },
): Promise<Begun> {
  refuseSecondStart(exec);
  become(room, exec, { kind: 'starting' });
  publish(room, container, `exec_start: ${exec.spec.command.join(' ')}`, { execID: exec.id });
  try {
    const begun = await room.monitor.exec({
      execId: exec.id,
      containerId: container.id,
      runtime: runtimeNamed(room, container.document.runtime),
      bundlePath: container.paths.bundle,
      process: processOf(room, container, exec, options),
      terminal: options.terminal,
      stdin: options.attach && exec.spec.attachStdin,
      attachFirst: options.attach,
    });
    become(room, exec, { kind: 'running', task: begun.task });
    exec.settled.resolve();
    void begun.task.exit.then(() => letGo(room, exec, begun.task));
    return begun;
  } catch (error) {
    end(room, container, exec, codeOfFailure(error), 0);
    throw error;
  }
}

function processOf(
  room: Room,
  container: Container,
  { spec }: Exec,
  options: { readonly terminal: boolean; readonly consoleSize: readonly [number, number] | null },
): ProcessSpec {
  const own = container.document.spec;
  const user = resolveUser(
    room.files,
    container.paths.rootfs,
    spec.user === '' ? own.user : spec.user,
    own.host.groupAdd,
  );
  const consoleSize = options.consoleSize ?? spec.consoleSize;
  return execProcessOf(
    processOfContainer(container),
    { ...spec, terminal: options.terminal, consoleSize },
    user,
    room.options.capabilityMask,
  );
}

/** What execs inherit; after a restart of the daemon it is read back from the bundle. */
function processOfContainer(container: Container): ProcessSpec {
  container.process ??= (JSON.parse(readFileSync(container.paths.config, 'utf8')) as RuntimeSpec).process;
  return container.process;
}

/** Nobody asks an ended exec's monitor for anything: its files and handles go at once, its record stays for inspect. */
async function letGo(room: Room, { id }: Exec, task: Task): Promise<void> {
  try {
    await task.delete();
  } catch (error) {
    room.logger.warn('an ended exec left files behind', { exec: id, reason: messageOf(error) });
  }
}

function end(room: Room, container: Container, exec: Exec, exitCode: number, pid: number): void {
  become(room, exec, { kind: 'ended', exitCode, pid });
  exec.settled.resolve();
  container.touch();
  publish(room, container, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
  room.clock.after(RECORD_LIFE_MS, () => {
    if (!room.registry.deleteExec(exec.id)) return;
    room.changes.tell({ kind: 'exec-removed', containerId: container.id, execId: exec.id });
  });
}

function become(room: Room, exec: Exec, state: ExecState): void {
  exec.state = state;
  room.changes.tell({ kind: 'exec-changed', containerId: exec.containerId, execId: exec.id });
}

function refuseIdle(container: Container, ref: string): void {
  switch (container.state.status) {
    case 'running':
      return;
    case 'paused':
      throw new ConflictError(`Container ${ref} is paused, unpause the container before exec`);
    case 'restarting':
      throw isRestarting(container.id);
    case 'created':
    case 'exited':
    case 'removing':
    case 'dead':
      throw notRunning(container.id);
  }
}
