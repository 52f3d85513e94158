/** Pipes, and reading them to their end without a thread. */
import { readSync } from 'node:fs';
import type { Fd } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { asFd, check, closeQuietly, libc } from './libc.ts';
import type { Watch } from './readiness.ts';
import { watchReadable } from './readiness.ts';

const pipe2 = libc.bind<(fds: Pointer, flags: number) => number>('int pipe2(void *fds, int flags)');

export const O_CLOEXEC = 0o2000000;
/** What is kept of one stream; more would be a program gone wild, and its first words tell why. */
const OUTPUT_LIMIT_BYTES = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** A close-on-exec pipe. */
export function makePipe(): { readonly read: Fd; readonly write: Fd } {
  const fds = Buffer.alloc(8);
  check(pipe2(fds, O_CLOEXEC), 'pipe2');
  return { read: asFd(fds.readInt32LE(0)), write: asFd(fds.readInt32LE(4)) };
}

/** Gathers what comes out of a pipe; owns the descriptor and closes it at its end, on failure or when disposed. */
export class PipeReader implements Disposable {
  /** Settles at the end of the stream; rejects when reading fails. Stays pending when disposed before. */
  readonly ended: Promise<void>;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #chunks: Buffer[] = [];
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void };
  #sizeBytes = 0;
  #open = true;

  constructor(fd: number) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    // Whoever does not wait for the end (a drained capture) must not see an unhandled rejection.
    promise.catch(() => undefined);
    this.#settle = { resolve, reject };
    this.#fd = fd;
    try {
      this.#watch = watchReadable(fd, () => this.#readOnce());
    } catch (error) {
      closeQuietly(fd);
      throw error;
    }
  }

  /** What has come so far, as text. */
  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }

  /** Takes what is in the pipe at this moment, without waiting for its end. */
  drain(): void {
    while (this.#open && this.#readOnce());
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch[Symbol.dispose]();
    closeQuietly(this.#fd);
  }

  /** True when bytes were read, so that there may be more. */
  #readOnce(): boolean {
    try {
      const length = readSync(this.#fd, scratch, 0, CHUNK_BYTES, null);
      if (length > 0) {
        this.#keep(scratch.subarray(0, length));
        return true;
      }
      this[Symbol.dispose]();
      this.#settle.resolve();
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EINTR'))
        return false;
      this[Symbol.dispose]();
      this.#settle.reject(error);
    }
    return false;
  }

  #keep(bytes: Buffer): void {
    const kept = bytes.subarray(0, OUTPUT_LIMIT_BYTES - this.#sizeBytes);
    if (kept.length === 0) return;
    this.#chunks.push(Buffer.from(kept));
    this.#sizeBytes += kept.length;
  }
}

/** Shared by all readers: each read is copied out before the next. */
const scratch = Buffer.allocUnsafeSlow(CHUNK_BYTES);

/** Reads `fd` to its end and closes it. */
export async function readAll(fd: Fd, signal?: AbortSignal): Promise<string> {
  using reader = new PipeReader(fd);
  signal?.throwIfAborted();
  await untilAborted(reader.ended, signal);
  return reader.text();
}

/** Settles as `promise` does, or rejects with the signal's reason, whichever is first. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(signal.reason as Error);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
