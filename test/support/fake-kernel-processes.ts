/** Processes that behave as a test's script says. */
import { basename } from 'node:path';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type {
  CapturedRun,
  ExitStatus,
  Fd,
  ProcessCalls,
  ProcessHandle,
  SpawnOptions,
} from '../../src/engine/kernel/kernel.ts';

const SIGKILL = 9;
const FIRST_PID = 1000;

/** What a program does: a number is its exit code at once; nothing lets it run until `exit` is called or it is killed. */
export type ChildScript = (child: FakeChild) => number | undefined | void;

/** A process of the fake, as its script and the test see it. */
export class FakeChild {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly newSession: boolean;
  /** Signals it was sent; SIGKILL has ended it as well. */
  readonly signals: number[] = [];
  readonly ended: Promise<ExitStatus>;
  readonly #resolve: (status: ExitStatus) => void;
  readonly #write: (fd: number, text: string) => void;
  #status: ExitStatus | null = null;

  constructor(
    pid: number,
    options: Omit<SpawnOptions, 'fds'>,
    stdin: string,
    write: (fd: number, text: string) => void,
    onEnd: () => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<ExitStatus>();
    this.pid = pid;
    this.argv = options.argv;
    this.env = options.env;
    this.stdin = stdin;
    this.newSession = options.newSession === true;
    this.ended = promise;
    this.#write = write;
    this.#resolve = (status) => {
      onEnd();
      resolve(status);
    };
  }

  get isRunning(): boolean {
    return this.#status === null;
  }

  /** Writes to the descriptor that has number `fd` in the child. */
  write(fd: number, text: string): void {
    this.#write(fd, text);
  }

  /** Ends it with an exit code or by a signal. */
  exit(code: number | null, signal: number | null = null): void {
    if (this.#status !== null) return;
    this.#status = { code, signal };
    this.#resolve(this.#status);
  }

  deliver(signal: number): boolean {
    if (this.#status !== null) return false;
    this.signals.push(signal);
    if (signal === SIGKILL) this.exit(null, SIGKILL);
    return true;
  }
}

interface FakePipe {
  text: string;
  /** Numbers of live children that hold the writing end. */
  writers: number;
  readonly end: Promise<void>;
  readonly close: () => void;
}

/** {@link ProcessCalls} without processes. */
export class FakeProcesses implements ProcessCalls {
  readonly scripts = new Map<string, ChildScript>();
  readonly #openFd: () => Fd;
  readonly #children = new Map<number, FakeChild>();
  readonly #pipesByFd = new Map<number, FakePipe>();
  #nextPid = FIRST_PID;

  constructor(openFd: () => Fd) {
    this.#openFd = openFd;
  }

  running(): readonly FakeChild[] {
    return [...this.#children.values()].filter((child) => child.isRunning);
  }

  add(pid = this.#nextPid++): FakeChild {
    const child = new FakeChild(
      pid,
      { argv: ['added'], env: {} },
      '',
      () => undefined,
      () => undefined,
    );
    this.#children.set(pid, child);
    return child;
  }

  spawn(options: SpawnOptions): number {
    const pipes = new Map<number, FakePipe>();
    for (const [ours, theirs] of options.fds ?? []) {
      const pipe = this.#pipesByFd.get(ours);
      if (pipe !== undefined) pipes.set(theirs, pipe);
    }
    return this.#start(options, '', pipes).pid;
  }

  async wait(pid: number): Promise<ExitStatus> {
    const child = this.#children.get(pid);
    if (child === undefined) throw new KernelError('pidfd_open', 'ESRCH', String(pid));
    const status = await child.ended;
    this.#children.delete(pid);
    return status;
  }

  async capture(
    options: Omit<SpawnOptions, 'fds'>,
    input: { readonly stdin?: string; readonly signal?: AbortSignal } = {},
  ): Promise<CapturedRun> {
    input.signal?.throwIfAborted();
    const [stdout, stderr] = [newPipe(), newPipe()];
    const child = this.#start(
      options,
      input.stdin ?? '',
      new Map([
        [1, stdout],
        [2, stderr],
      ]),
    );
    const kill = (): void => void child.deliver(SIGKILL);
    input.signal?.addEventListener('abort', kill, { once: true });
    const status = await this.wait(child.pid);
    input.signal?.removeEventListener('abort', kill);
    input.signal?.throwIfAborted();
    return { ...status, stdout: stdout.text, stderr: stderr.text };
  }

  open(pid: number): ProcessHandle | null {
    const child = this.#children.get(pid);
    if (child === undefined) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    let isOpen = true;
    void child.ended.then(() => {
      if (isOpen) resolve();
    });
    return {
      pid,
      exited: promise,
      signal: (signal) => isOpen && child.deliver(signal),
      [Symbol.dispose]: () => {
        isOpen = false;
      },
    };
  }

  pipe(): { readonly read: Fd; readonly write: Fd } {
    const pipe = newPipe();
    const ends = { read: this.#openFd(), write: this.#openFd() };
    this.#pipesByFd.set(ends.read, pipe);
    this.#pipesByFd.set(ends.write, pipe);
    return ends;
  }

  /** Ends when every child that held the writing end has ended: that the caller closes its own end is taken for granted. */
  async readAll(fd: Fd, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    const pipe = this.#pipesByFd.get(fd);
    if (pipe === undefined) throw new KernelError('read', 'EBADF', null);
    if (pipe.writers === 0) return pipe.text;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    await Promise.race([pipe.end, aborted]);
    return pipe.text;
  }

  #start(options: Omit<SpawnOptions, 'fds'>, stdin: string, pipes: ReadonlyMap<number, FakePipe>): FakeChild {
    const pid = this.#nextPid++;
    const write = (fd: number, text: string): void => {
      const pipe = pipes.get(fd);
      if (pipe !== undefined) pipe.text += text;
    };
    for (const pipe of pipes.values()) pipe.writers++;
    const onEnd = (): void => {
      for (const pipe of pipes.values()) {
        pipe.writers--;
        if (pipe.writers === 0) pipe.close();
      }
    };
    const child = new FakeChild(pid, options, stdin, write, onEnd);
    this.#children.set(pid, child);
    const script = this.scripts.get(basename(options.argv[0])) ?? (() => 0);
    // A real child has done nothing yet when spawn returns.
    queueMicrotask(() => {
      const code = script(child);
      if (typeof code === 'number') child.exit(code);
    });
    return child;
  }
}

function newPipe(): FakePipe {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { text: '', writers: 0, end: promise, close: resolve };
}
