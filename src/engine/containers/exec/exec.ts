import { ConflictError, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import { newId, type ExecId } from '../../../base/ids.ts';
import { exitCodeOf as codeOfFailure } from '../../runtime/errors.ts';
import type { AttachSession } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import { copyStreams } from '../streams/copy-streams.ts';
import { NO_KEYS, parseDetachKeys } from '../streams/detach-keys.ts';
import { isRestarting, noSuchExec, notRunning } from '../errors.ts';
import { execProcess } from './process.ts';
import type { Exec } from './record.ts';
import { become, end, followToEnd } from './ending.ts';
import { noteOf } from './note.ts';
import { publish, runtimeNamed, type Room } from '../room.ts';
import { parseSignal } from '../signals.ts';
import type { Attachment, ClientStreams, ExecSpec } from '../types.ts';

/** How long output is awaited that a child of the exec still holds open after it: dockerd's bound. */
const DRAIN_MS = 2000;

/** Checks and records an exec; nothing runs yet. */
export async function createExec(room: Room, ref: string, spec: ExecSpec): Promise<ExecId> {
  const container = room.registry.resolve(ref);
  refuseIdle(container, ref);
  if (spec.command.length === 0) throw new InvalidArgumentError('No exec command specified');
  parseDetachKeys(spec.detachKeys, 'escape');
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
  await begin(room, container, exec, { consoleSize: null, attach: false });
}

/**
 * Checks that it can start; the process starts within `run`, whose client gets also the reason of a failed start. Whether it
 * has a terminal was said at its creation; `terminal` is what the client takes its stream for.
 */
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
        started = await begin(room, container, exec, { consoleSize: options.consoleSize, attach: true });
      } catch (error) {
        await client.output.write('stdout', Buffer.from(`${messageOf(error)}\r\n`));
        return;
      }
      await serve(room, exec, started, client, keys);
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
  readonly session: AttachSession | null;
  /** Settles when the process has ended and inspect tells its code. */
  readonly ended: Promise<void>;
}

async function serve(
  room: Room,
  exec: Exec,
  { session, ended }: Begun,
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
  const first = await Promise.race([
    copied.then((detached) => (detached || client.signal.aborted ? 'left' : 'drained')),
    ended.then(() => 'ended' as const),
  ]);
  // The code is known to inspect before the client's stream ends: clients ask for it then.
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
  { consoleSize, attach }: { readonly consoleSize: readonly [number, number] | null; readonly attach: boolean },
): Promise<Begun> {
  refuseSecondStart(exec);
  const { terminal } = exec.spec;
  become(room, exec, { kind: 'starting' });
  publish(room, container, `exec_start: ${exec.spec.command.join(' ')}`, { execID: exec.id });
  try {
    const { task, session } = await room.monitor.exec({
      execId: exec.id,
      containerId: container.id,
      runtime: runtimeNamed(room, container.document.runtime),
      bundlePath: container.paths.bundle,
      process: execProcess(room, container, exec.spec, { terminal, consoleSize }),
      terminal,
      stdin: attach && exec.spec.attachStdin,
      attachFirst: attach,
      note: noteOf(exec.spec),
    });
    become(room, exec, { kind: 'running', task });
    exec.settled.resolve();
    return { session, ended: followToEnd(room, container, exec, task) };
  } catch (error) {
    end(room, container, exec, codeOfFailure(error), 0);
    throw error;
  }
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
