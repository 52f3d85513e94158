/** One run of a health check's command: an exec in the container, which nobody can ask for afterwards. */
import { messageOf } from '../../../base/errors.ts';
import { formatGoDuration } from '../../../base/go-duration.ts';
import { newId, type ExecId } from '../../../base/ids.ts';
import type { AttachSession, Task } from '../../runtime/monitor.ts';
import type { Container } from '../container.ts';
import { execProcess } from '../exec/process.ts';
import { publish, runtimeNamed, type Room } from '../room.ts';
import { SIGKILL } from '../signals.ts';
import type { ExecSpec, ProbeResult } from '../types.ts';
import type { HealthCheck } from './check.ts';
import { ProbeOutput } from './output.ts';

/** How long output is awaited that a child of the probe still holds open after it: dockerd's bound for execs. */
const DRAIN_MS = 2000;
/** A probe without an exit code of its own. */
const NO_EXIT_CODE = -1;

/**
 * Runs the probe and tells what it said; never rejects. At the check's time-out, and when `signal` is aborted, its
 * process is killed: probes never pile up.
 */
export async function probe(
  room: Room,
  container: Container,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const startedAt = room.clock.now();
  const answer = await ask(room, container, check, signal).catch((error: unknown) => {
    room.logger.warn('a health check could not be run', { container: container.id, reason: messageOf(error) });
    return { exitCode: NO_EXIT_CODE, output: messageOf(error) };
  });
  return { startedAt, endedAt: room.clock.now(), ...answer };
}

async function ask(
  room: Room,
  container: Container,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<Pick<ProbeResult, 'exitCode' | 'output'>> {
  const execId = newId<ExecId>();
  const words = check.command.join(' ');
  publish(room, container, `exec_create: ${words}`, { execID: execId });
  const { task, session } = await begin(room, container, { execId, check, words, signal });
  const output = new ProbeOutput();
  const copied = session?.pipe({ write: (_stream, chunk) => output.write(chunk) }).catch(() => undefined);
  try {
    const ended = await endsInTime(room, task, check, signal);
    const { exitCode } = await task.exit;
    publish(room, container, 'exec_die', { execID: execId, exitCode: String(exitCode) });
    await drained(room, copied);
    return ended ? { exitCode, output: output.toString() } : { exitCode: NO_EXIT_CODE, output: late(check, output) };
  } finally {
    await session?.[Symbol.asyncDispose]();
    await task.delete();
  }
}

/** Few are begun at a time: what many containers ask for at one moment is spread, and the timeout counts from here. */
async function begin(
  room: Room,
  container: Container,
  {
    execId,
    check,
    words,
    signal,
  }: {
    readonly execId: ExecId;
    readonly check: HealthCheck;
    readonly words: string;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly task: Task; readonly session: AttachSession | null }> {
  using _place = await room.probeGate.enter(signal);
  publish(room, container, `exec_start: ${words}`, { execID: execId });
  return await room.monitor.exec({
    execId,
    containerId: container.id,
    runtime: runtimeNamed(room, container.document.runtime),
    bundlePath: container.paths.bundle,
    process: execProcess(room, container, specOf(check), { terminal: false, consoleSize: null }),
    terminal: false,
    stdin: false,
    attachFirst: true,
  });
}

/** False when it had to be killed. */
async function endsInTime(room: Room, task: Task, { timeoutMs }: HealthCheck, signal: AbortSignal): Promise<boolean> {
  const over = Promise.withResolvers<false>();
  const onAbort = (): void => over.resolve(false);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  using _timer = room.clock.after(timeoutMs, onAbort);
  try {
    const inTime = await Promise.race([task.exit.then(() => true), over.promise]);
    if (!inTime) task.signal(SIGKILL);
    return inTime;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function drained(room: Room, copied: Promise<void> | undefined): Promise<void> {
  const patience = Promise.withResolvers<undefined>();
  using _timer = room.clock.after(DRAIN_MS, () => patience.resolve(undefined));
  await Promise.race([copied, patience.promise]);
}

function late({ timeoutMs }: HealthCheck, output: ProbeOutput): string {
  const said = output.toString();
  return `Health check exceeded timeout (${formatGoDuration(timeoutMs * 1e6)})${said === '' ? '' : `: ${said}`}`;
}

function specOf({ command }: HealthCheck): ExecSpec {
  return {
    command,
    terminal: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    env: [],
    user: '',
    workingDirectory: '',
    privileged: false,
    detachKeys: null,
    consoleSize: null,
  };
}
