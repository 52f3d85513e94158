/**
 * Starting conmon. What is spawned daemonizes: it ends at once, having written conmon.pid; the process it leaves behind
 * runs the OCI runtime's `create` or `exec` and reports on the sync pipe. For an exec that must not lose output it first
 * opens its attach socket, says so on the attach pipe, and waits for a byte on the start pipe.
 */
import { closeSync, writeSync } from 'node:fs';
import type { Fd, Kernel } from '../../kernel/kernel.ts';
import { RUNTIME_ENV } from '../oci-program.ts';
import { conmonArguments, type MonitorCommand } from './command.ts';
import { SyncPipe } from './sync-pipe.ts';

/** Numbers the pipes have in conmon. */
const SYNC_FD = 3;
const START_FD = 4;
const ATTACH_FD = 5;

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

/** Starts conmon; settles when it has daemonized and conmon.pid is there. */
export async function launch(
  kernel: Pick<Kernel, 'processes'>,
  command: MonitorCommand,
  temporaryPath: string,
): Promise<Launch> {
  const { processes } = kernel;
  const attachFirst = command.exec?.attachFirst === true;
  using theirs = new DisposableStack();
  const toUs = (): Fd => {
    const { read, write } = processes.pipe();
    ends.set(read, write);
    theirs.defer(() => closeSync(write));
    return read;
  };
  const ends = new Map<Fd, Fd>();
  const words = toUs();
  const sync = toUs();
  const attach = attachFirst ? toUs() : null;
  const start = attachFirst ? processes.pipe() : null;
  if (start !== null) theirs.defer(() => closeSync(start.read));
  const end = (fd: Fd): Fd => ends.get(fd) ?? fd;
  const fds: (readonly [Fd, number])[] = [
    [end(words), 1],
    [end(words), 2],
    [end(sync), SYNC_FD],
  ];
  if (attach !== null) fds.push([end(attach), ATTACH_FD]);
  if (start !== null) fds.push([start.read, START_FD]);
  const ours = new DisposableStack();
  const syncPipe = ours.use(new SyncPipe(sync));
  const attachPipe = attach === null ? null : ours.use(new SyncPipe(attach));
  if (start !== null) ours.defer(() => closeSync(start.write));
  const complaint = processes.readAll(words).catch(() => '');
  try {
    const pid = processes.spawn({
      argv: conmonArguments(command),
      env: {
        ...MONITOR_ENV,
        TMPDIR: temporaryPath,
        _OCI_SYNCPIPE: String(SYNC_FD),
        ...(attachFirst ? { _OCI_STARTPIPE: String(START_FD), _OCI_ATTACHPIPE: String(ATTACH_FD) } : {}),
      },
      cwd: command.runPath,
      fds,
      newSession: true,
    });
    theirs.dispose();
    const go = (): void => {
      if (start !== null) writeSync(start.write, '0');
    };
    // conmon waits for a first byte before anything else (for whoever wants to move it to another cgroup).
    go();
    await processes.wait(pid);
    return { sync: syncPipe, attachReady: attachPipe, release: go, complaint, [Symbol.dispose]: () => ours.dispose() };
  } catch (error) {
    ours.dispose();
    throw error;
  }
}
