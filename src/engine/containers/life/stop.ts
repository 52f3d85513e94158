import { EngineError, InternalError, messageOf } from '../../../base/errors.ts';
import type { Container } from '../container.ts';
import { markedForRemoval, notRunning } from '../errors.ts';
import { applyBeside, applyFact } from './facts.ts';
import { endWatch } from '../health.ts';
import { publish, runtimeNamed, type Room } from '../room.ts';
import { parseSignal, SIGKILL, SIGTERM } from '../signals.ts';
import { forgetUnhealthy, startNow } from './start.ts';
import { isLive } from '../state.ts';

/** What stop and restart take; null means the container's own. */
export interface StopOptions {
  readonly signal: string | null;
  /** -1 waits for ever. */
  readonly timeoutSeconds: number | null;
}

/** How long a process may take to die of SIGKILL: longer means that the kernel holds it (a hung file system). */
const KILL_WAIT_MS = 10_000;

/** Asks, waits, then kills. False when it was not running. */
export async function stop(room: Room, ref: string, options: StopOptions): Promise<boolean> {
  const container = room.registry.resolve(ref);
  if (!(await stopContainer(room, container, options))) return false;
  publish(room, container, 'stop');
  return true;
}

export async function restart(room: Room, ref: string, options: StopOptions): Promise<void> {
  const container = room.registry.resolve(ref);
  forgetUnhealthy(container);
  await restartContainer(room, container, options);
}

/** Stops it where it runs and starts it, whoever asks for that. */
export async function restartContainer(room: Room, container: Container, options: StopOptions): Promise<void> {
  if (container.removing) throw markedForRemoval();
  container.restarting = true;
  try {
    if (await stopContainer(room, container, options)) publish(room, container, 'stop');
    // Behind the exit in the mailbox: what it decides about `--rm` has been decided.
    await container.mailbox.idle();
  } finally {
    container.restarting = false;
  }
  container.restartDelayMs = 0;
  await container.mailbox.run(() => startNow(room, container));
  publish(room, container, 'restart');
}

/** ConflictError when it does not run; each error says what it is about. A kill by SIGKILL returns when the process has ended. */
export async function kill(room: Room, ref: string, signalText: string): Promise<void> {
  try {
    await killContainer(room, room.registry.resolve(ref), signalText);
  } catch (error) {
    if (error instanceof EngineError)
      throw new EngineError(error.kind, `cannot kill container: ${ref}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function killContainer(room: Room, container: Container, signalText: string): Promise<void> {
  const signal = signalText === '' ? SIGKILL : parseSignal(signalText);
  const given = new AbortController();
  const ended = container.waiters.add('next-exit', given.signal).catch(() => null);
  const sent = await container.mailbox.run(async () => {
    if (!isLive(container.state) && container.state.status !== 'restarting') return false;
    // Docker's rules: a signal that is meant to end it (any, where no stop signal was given) calls the policy off; any
    // other is a stop by hand to `unless-stopped` alone.
    const endsIt = isMeantToEnd(container, signal);
    if (endsIt || container.document.spec.host.restartPolicy.name === 'unless-stopped') {
      wishStopped(room, container);
    }
    if (endsIt) container.endsForGood = true;
    if (callOffRestart(room, container)) return true;
    // One whose end is on its way to us was there to be killed: no error to Docker.
    await sendSignal(room, container, signal);
    return true;
  });
  if (sent && signal === SIGKILL && isLive(container.state) && !(await endsWithin(room, ended, KILL_WAIT_MS))) {
    throw new InternalError('tried to kill container, but did not receive an exit event');
  }
  given.abort(new Error('not waited for'));
  if (!sent) throw notRunning(container.id);
}

/**
 * Ends a container without the event of a user's stop; false when nothing ran. `byUser` false leaves the wish that it
 * should run (the daemon's own end), so that policies start it again.
 */
export async function stopContainer(
  room: Room,
  container: Container,
  options: StopOptions & { readonly byUser?: boolean },
): Promise<boolean> {
  const signal =
    options.signal === null || options.signal === '' ? stopSignalOf(container) : parseSignal(options.signal);
  const seconds =
    options.timeoutSeconds ?? container.document.spec.stopTimeoutSeconds ?? room.options.defaultStopTimeoutSeconds;
  const given = new AbortController();
  const ended = container.waiters.add('next-exit', given.signal).catch(() => null);
  const asked = await container.mailbox.run(async () => {
    if (!isLive(container.state) && container.state.status !== 'restarting') return 'nothing runs';
    if (options.byUser !== false) wishStopped(room, container);
    container.endsForGood = true;
    endWatch(room, container);
    if (callOffRestart(room, container)) return 'called off';
    await sendSignal(room, container, signal);
    return 'signalled';
  });
  if (asked !== 'signalled') {
    given.abort(new Error('not waited for'));
    return asked === 'called off';
  }
  // What SIGKILL does not end, a second one does not end either, but after the time it is told as such.
  const patienceMs = signal === SIGKILL ? KILL_WAIT_MS : seconds * 1000;
  if (patienceMs < 0) await ended;
  else if (!(await endsWithin(room, ended, patienceMs))) await dies(room, container, ended);
  return true;
}

/** Sends SIGKILL and waits for the end it must bring. InternalError when the kernel holds the process. */
async function dies(room: Room, container: Container, ended: Promise<unknown>): Promise<void> {
  await container.mailbox.run(async () => {
    if (isLive(container.state)) await sendSignal(room, container, SIGKILL);
  });
  if (await endsWithin(room, ended, KILL_WAIT_MS)) return;
  throw new InternalError(
    `cannot kill container: ${container.id}: tried to kill container, but did not receive an exit event`,
  );
}

/** True when `ended` settles within the time. */
async function endsWithin(room: Room, ended: Promise<unknown>, limitMs: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  using _timer = room.clock.after(limitMs, () => late.resolve(false));
  return await Promise.race([ended.then(() => true), late.promise]);
}

/** Inside the mailbox. A paused container takes no signal but in its kernel's queue: it is resumed to die. */
async function sendSignal(room: Room, container: Container, signal: number): Promise<void> {
  const { state, task } = container;
  if (!isLive(state) || task === null) return;
  publish(room, container, 'kill', { signal: String(signal) });
  task.signal(signal);
  if (state.status === 'paused' && isMeantToEnd(container, signal)) {
    await runtimeNamed(room, container.document.runtime)
      .resume(container.id)
      .then(() => applyFact(room, container, { kind: 'unpaused' }))
      .catch((error: unknown) => {
        room.logger.warn('a paused container could not be resumed to end', {
          container: container.id,
          reason: messageOf(error),
        });
      });
  }
}

/** What fills a disk can be stopped on it, whether or not the wish can be written down. */
function wishStopped(room: Room, container: Container): void {
  applyBeside(room, container, { desired: 'stopped' }, 'that it is to be stopped');
}

/** Calls a planned restart off; true when there was one. */
function callOffRestart(room: Room, container: Container): boolean {
  if (container.state.status !== 'restarting') return false;
  container.restartTimer?.[Symbol.dispose]();
  container.restartTimer = null;
  applyFact(room, container, { kind: 'restart-cancelled' });
  container.ended.abort();
  return true;
}

/** Docker's rule: SIGKILL, the container's own stop signal, and, where it has none of its own, any. */
function isMeantToEnd(container: Container, signal: number): boolean {
  const { stopSignal } = container.document.spec;
  return stopSignal === null || stopSignal === '' || signal === SIGKILL || signal === stopSignalOf(container);
}

function stopSignalOf(container: Container): number {
  const { stopSignal } = container.document.spec;
  return stopSignal === null || stopSignal === '' ? SIGTERM : parseSignal(stopSignal);
}
