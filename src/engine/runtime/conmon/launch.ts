/**
 * Starting conmon. What is spawned daemonizes: it ends at once, having written conmon.pid; the process it leaves behind
 * runs the OCI runtime's `create` or `exec` and reports on the sync pipe. For an exec that must not lose output it first
 * opens its attach socket, says so on the attach pipe, and waits for a byte on the start pipe. Where monitors have a scope
 * of their own, each waits on the start pipe until it is in there.
 */
import { closeSync, writeSync } from 'node:fs';
import type { Fd, Kernel } from '../../kernel/kernel.ts';
import { RUNTIME_ENV } from '../oci-program.ts';
import type { MonitorScope } from '../units.ts';
import { conmonArguments, type MonitorCommand } from './command.ts';
import { SyncPipe } from './sync-pipe.ts';

/** Numbers the pipes have in conmon. */
const SYNC_FD = 3;
const START_FD = 4;
const ATTACH_FD = 5;
/** Nobody reads it there: see {@link spawn}. */
const SYNC_READ_FD = 6;

/**
 * conmon writes local times into logs: UTC needs no time zone data and has no summer. It makes a terminal's socket
 * where TMPDIR says, which must be short and nobody else's.
 */
const MONITOR_ENV = { ...RUNTIME_ENV, TZ: 'UTC0' };

/** A conmon that has begun. Dispose to let go of its pipes; it goes on. */
export interface Launch extends Disposable {
  readonly sync: SyncPipe;
  /** Says when the attach socket is there; null unless the process waits for its client. */
  readonly attachReady: SyncPipe | null;
  /** Lets a process go that waits for its client. */
  readonly release: () => void;
  /** What conmon had to say before it detached, when that went wrong; settles when it has. */
  readonly complaint: Promise<string>;
}

/** Where conmon is started. */
export interface LaunchPlace {
  readonly kernel: Pick<Kernel, 'processes'>;
  readonly temporaryPath: string;
  /** Null: it stays in the daemon's control group. */
  readonly scope: MonitorScope | null;
}

/** Starts conmon; settles when it has daemonized and conmon.pid is there. */
export async function launch(place: LaunchPlace, command: MonitorCommand): Promise<Launch> {
  const { kernel, scope } = place;
  const { pid, words, sync, attach, start } = spawn(place, command);
  const pipes = new DisposableStack();
  if (start !== null) pipes.defer(() => closeSync(start));
  const started: Launch = {
    sync: pipes.use(new SyncPipe(sync)),
    attachReady: attach === null ? null : pipes.use(new SyncPipe(attach)),
    release: () => {
      if (start !== null) writeSync(start, '0');
    },
    complaint: kernel.processes.readAll(words).catch(() => ''),
    [Symbol.dispose]: () => pipes.dispose(),
  };
  try {
    // conmon waits for a first byte before it forks: what it leaves behind is then in the scope as well.
    await scope?.adopt(pid);
    started.release();
    await kernel.processes.wait(pid);
    return started;
  } catch (error) {
    // Its own stdout ends when it has daemonized: from then on it can be found by its pid file, and killed.
    await started.complaint;
    pipes.dispose();
    throw error;
  }
}

/** Our ends of the pipes to a conmon that was spawned. */
interface Spawned {
  readonly pid: number;
  readonly words: Fd;
  readonly sync: Fd;
  readonly attach: Fd | null;
  readonly start: Fd | null;
}

function spawn({ kernel, temporaryPath, scope }: LaunchPlace, command: MonitorCommand): Spawned {
  const { processes } = kernel;
  const attaches = command.exec?.attachFirst === true;
  const waits = attaches || scope !== null;
  using theirs = new DisposableStack();
  using ours = new DisposableStack();
  const fds: (readonly [Fd, number])[] = [];
  const pipe = (direction: 'from' | 'to', ...numbers: readonly number[]): Fd => {
    const { read, write } = processes.pipe();
    const [our, their] = direction === 'from' ? [read, write] : [write, read];
    ours.defer(() => closeSync(our));
    theirs.defer(() => closeSync(their));
    for (const number of numbers) fds.push([their, number]);
    return our;
  };
  const words = pipe('from', 1, 2);
  const sync = pipe('from', SYNC_FD);
  // conmon ends when it cannot report a pid: with an end of its own it can, also when the daemon was killed meanwhile.
  if (command.exec !== null) fds.push([sync, SYNC_READ_FD]);
  const attach = attaches ? pipe('from', ATTACH_FD) : null;
  const start = waits ? pipe('to', START_FD) : null;
  const pid = processes.spawn({
    argv: conmonArguments(command),
    env: {
      ...MONITOR_ENV,
      TMPDIR: temporaryPath,
      _OCI_SYNCPIPE: String(SYNC_FD),
      ...(waits ? { _OCI_STARTPIPE: String(START_FD) } : {}),
      ...(attaches ? { _OCI_ATTACHPIPE: String(ATTACH_FD) } : {}),
    },
    cwd: command.runPath,
    fds,
    newSession: true,
  });
  ours.move();
  return { pid, words, sync, attach, start };
}
