/** Children by posix_spawn, any process by pidfd. */
import type { CapturedRun, ExitStatus, Fd, ProcessCalls, ProcessHandle, SpawnOptions } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { check, closeQuietly, errnoError, lastErrno, libc } from './libc.ts';
import { memoryFile } from './memory-file.ts';
import { makePipe, PipeReader, readAll } from './pipes.ts';
import { watchReadable } from './readiness.ts';
import { spawnProcess } from './spawn.ts';

// By number: glibc has names for them since 2.36 only. x86_64 and aarch64 share the numbers.
const pidfdOpen = libc.bind<(n: 434, pid: number, flags: 0) => number>('long syscall(long n, long pid, long flags)');
const pidfdSendSignal = libc.bind<(n: 424, fd: number, signal: number, info: null, flags: 0) => number>(
  'long syscall(long n, long fd, long signal, void *info, long flags)',
);
const waitid = libc.bind<(type: number, id: number, info: Pointer, options: number) => number>(
  'int waitid(int type, uint32_t id, void *info, int options)',
);

const P_PID = 1;
const WEXITED = 4;
const WNOHANG = 1;
const CLD_EXITED = 1;
const SIGKILL = 9;

/** Processes of this kernel. */
export function createProcessCalls(): ProcessCalls {
  return { spawn: spawnProcess, wait: waitForChild, capture, open: openProcess, pipe: makePipe, readAll };
}

/** See {@link ProcessCalls.wait}. */
export async function waitForChild(pid: number): Promise<ExitStatus> {
  // An unreaped child keeps its pid, so that the number is safe to use; waiting by pid leaves libuv's children alone.
  const pidfd = check(pidfdOpen(434, pid, 0), 'pidfd_open', String(pid));
  try {
    await readable(pidfd);
  } finally {
    closeQuietly(pidfd);
  }
  return reap(pid);
}

async function readable(fd: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _ = watchReadable(fd, resolve);
  await promise;
}

function reap(pid: number): ExitStatus {
  // siginfo_t: si_code at 8, si_status at 24.
  const info = Buffer.alloc(128);
  check(waitid(P_PID, pid, info, WEXITED | WNOHANG), 'waitid', String(pid));
  const status = info.readInt32LE(24);
  return info.readInt32LE(8) === CLD_EXITED ? { code: status, signal: null } : { code: null, signal: status };
}

function openProcess(pid: number): ProcessHandle | null {
  const fd = pid > 0 ? pidfdOpen(434, pid, 0) : -1;
  if (fd >= 0) return new PidfdHandle(pid, fd);
  const errno = pid > 0 ? lastErrno() : ESRCH;
  // EINVAL and ENOENT: the number is a thread's, not a process's.
  if (errno === ESRCH || errno === EINVAL || errno === ENOENT) return null;
  throw errnoError('pidfd_open', errno, String(pid));
}

const ENOENT = 2;
const ESRCH = 3;
const EINVAL = 22;

/** Watching for the end starts when somebody asks for it, and does not keep the daemon from ending. */
class PidfdHandle implements ProcessHandle {
  readonly pid: number;
  #fd: number;
  #exited: Promise<void> | null = null;
  #stopWatching: (() => void) | null = null;

  constructor(pid: number, fd: number) {
    this.pid = pid;
    this.#fd = fd;
  }

  get exited(): Promise<void> {
    this.#exited ??= this.#watch();
    return this.#exited;
  }

  signal(signal: number): boolean {
    if (this.#fd < 0) return false;
    if (pidfdSendSignal(424, this.#fd, signal, null, 0) === 0) return true;
    const errno = lastErrno();
    if (errno === ESRCH) return false;
    throw errnoError('pidfd_send_signal', errno, String(this.pid));
  }

  [Symbol.dispose](): void {
    this.#stopWatching?.();
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }

  #watch(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#fd < 0) return promise;
    const watch = watchReadable(this.#fd, () => {
      this.#stopWatching?.();
      resolve();
    });
    watch.unref();
    this.#stopWatching = () => {
      this.#stopWatching = null;
      watch[Symbol.dispose]();
    };
    return promise;
  }
}

async function capture(
  options: Omit<SpawnOptions, 'fds'>,
  input: { readonly stdin?: string; readonly signal?: AbortSignal } = {},
): Promise<CapturedRun> {
  input.signal?.throwIfAborted();
  const { pid, stdout, stderr } = startCaptured(options, input.stdin);
  using out = stdout;
  using err = stderr;
  using child = openProcess(pid);
  const kill = (): void => void child?.signal(SIGKILL);
  input.signal?.addEventListener('abort', kill, { once: true });
  let status: ExitStatus;
  try {
    status = await waitForChild(pid);
  } finally {
    input.signal?.removeEventListener('abort', kill);
  }
  input.signal?.throwIfAborted();
  // All the child wrote is in the pipes by now. A daemon it left behind may hold them open: do not wait for their end.
  out.drain();
  err.drain();
  return { ...status, stdout: out.text(), stderr: err.text() };
}

interface CapturedChild {
  readonly pid: number;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
}

/** Standard input is a file: unlike a pipe it takes any length at once, whether the child reads or not. */
function startCaptured(options: Omit<SpawnOptions, 'fds'>, stdin: string | undefined): CapturedChild {
  using childEnds = new DisposableStack();
  using ourEnds = new DisposableStack();
  const fds: (readonly [Fd, number])[] = [];
  const give = (fd: Fd, target: number): void => {
    childEnds.defer(() => closeQuietly(fd));
    fds.push([fd, target]);
  };
  const readerOf = (target: number): PipeReader => {
    const { read, write } = makePipe();
    give(write, target);
    return ourEnds.use(new PipeReader(read));
  };
  const stdout = readerOf(1);
  const stderr = readerOf(2);
  if (stdin !== undefined) give(memoryFile('stdin', stdin), 0);
  const pid = spawnProcess({ ...options, fds });
  ourEnds.move();
  return { pid, stdout, stderr };
}
