import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../base/clock.ts';
import { InternalError, messageOf, UnavailableError } from '../../../base/errors.ts';
import type { JobResults, LayerJob, Outcome, WorkerMessage } from './job.ts';

/** Two layers at once use two cores; more only take memory and disk queue from containers. */
const DEFAULT_SIZE = 2;
/** A pull's layers come within this time of each other; after it the memory is worth more than the 40 ms of a start. */
const IDLE_MS = 10_000;
/** A layer worker streams: a heap beyond this is a leak. */
const MAX_HEAP_MB = 256;

/** Options of {@link LayerWorkers}. */
export interface LayerWorkersOptions {
  /** The script a worker runs; it calls `serveLayerJobs`. */
  readonly url: URL;
  readonly clock: Clock;
  readonly size?: number;
  readonly idleMs?: number;
}

/** What goes with a job. */
export interface JobOptions {
  readonly onProgress?: ((readBytes: number) => void) | undefined;
  /** Takes what a stream job makes. */
  readonly onChunk?: ((chunk: Uint8Array) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Queued {
  readonly job: LayerJob;
  readonly onProgress: (readBytes: number) => void;
  readonly onChunk: (chunk: Uint8Array) => void;
  readonly cancelled: SharedArrayBuffer;
  readonly settle: (outcome: Outcome) => void;
  readonly fail: (error: Error) => void;
}

/** Threads that write layers: started when there is work, gone when there has been none for a while. */
export class LayerWorkers implements AsyncDisposable {
  readonly #options: LayerWorkersOptions;
  readonly #queue: Queued[] = [];
  readonly #threads = new Set<Thread>();
  #closed = false;

  constructor(options: LayerWorkersOptions) {
    this.#options = options;
  }

  /**
   * Runs a job and settles when it has ended: an abort asks it to stop, and the promise rejects with the signal's
   * reason only when the worker has let go of the files, even if it was done by then.
   */
  async run<Job extends LayerJob>(job: Job, options: JobOptions = {}): Promise<Outcome<JobResults[Job['kind']]>> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw new InternalError('layer workers are closed');
    const cancelled = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const queued: Queued = {
      job,
      onProgress: options.onProgress ?? (() => {}),
      onChunk: options.onChunk ?? (() => {}),
      cancelled,
      settle: resolve,
      fail: reject,
    };
    const onAbort = (): void => this.#cancel(queued);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#queue.push(queued);
    this.#dispatch();
    try {
      const outcome = await promise;
      signal?.throwIfAborted();
      // A worker's result is that of its job.
      return outcome as Outcome<JobResults[Job['kind']]>;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Copies everything below a directory into an empty one. Throws UnavailableError when the disk is full. */
  async copyTree(from: string, to: string): Promise<void> {
    assertDone(await this.run({ kind: 'copy', from, to }), `copying ${from}`);
  }

  /** Deletes a directory with everything below it; idempotent. */
  async deleteTree(root: string): Promise<void> {
    assertDone(await this.run({ kind: 'delete', root }), `deleting ${root}`);
  }

  /** Whether a job that comes now begins at once, in a thread that is there. */
  get isReady(): boolean {
    return this.#queue.length === 0 && [...this.#threads].some(({ idle }) => idle);
  }

  /** How many threads there are now. */
  get threads(): number {
    return this.#threads.size;
  }

  /** Stops all threads; jobs under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const queued of this.#queue.splice(0)) queued.fail(new InternalError('layer workers are closed'));
    await Promise.all([...this.#threads].map(async (thread) => thread.stop()));
  }

  #cancel(queued: Queued): void {
    Atomics.store(new Int32Array(queued.cancelled), 0, 1);
    const waiting = this.#queue.indexOf(queued);
    if (waiting < 0) return;
    this.#queue.splice(waiting, 1);
    queued.settle({ kind: 'cancelled' });
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = [...this.#threads].find((candidate) => candidate.idle) ?? this.#start();
      if (thread === null) return;
      const queued = this.#queue.shift();
      if (queued !== undefined) thread.give(queued);
    }
  }

  /** Null when there are as many as there may be. */
  #start(): Thread | null {
    if (this.#threads.size >= (this.#options.size ?? DEFAULT_SIZE)) return null;
    const thread = new Thread(this.#options, {
      free: () => this.#dispatch(),
      gone: () => {
        this.#threads.delete(thread);
        this.#dispatch();
      },
    });
    this.#threads.add(thread);
    return thread;
  }
}

function assertDone(outcome: Outcome, what: string): void {
  if (outcome.kind === 'failed') {
    throw outcome.error === 'unavailable' ? new UnavailableError(outcome.message) : new InternalError(outcome.message);
  }
  if (outcome.kind !== 'done') throw new InternalError(`${what} ended early: ${outcome.kind}`);
}

/** One worker and the job it is at. */
class Thread {
  readonly #options: LayerWorkersOptions;
  readonly #worker: Worker;
  readonly #events: { readonly free: () => void; readonly gone: () => void };
  #present: Queued | null = null;
  #stopping = false;
  #jobs = 0;
  #timer: Disposable | null = null;

  constructor(options: LayerWorkersOptions, events: { readonly free: () => void; readonly gone: () => void }) {
    this.#options = options;
    this.#events = events;
    this.#worker = new Worker(options.url, {
      name: 'layer',
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
      // Descriptors that calls of the kernel room open are closed by node:fs: no warnings of that.
      trackUnmanagedFds: false,
    });
    this.#worker.on('message', (message: WorkerMessage) => this.#onMessage(message));
    this.#worker.on('error', (error) => this.#onEnd(messageOf(error)));
    this.#worker.on('exit', (code) => this.#onEnd(`exit status ${String(code)}`));
  }

  get idle(): boolean {
    return this.#present === null && !this.#stopping;
  }

  give(queued: Queued): void {
    this.#timer?.[Symbol.dispose]();
    this.#present = queued;
    this.#jobs += 1;
    this.#worker.ref();
    this.#worker.postMessage({ id: this.#jobs, job: queued.job, cancelled: queued.cancelled });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#timer?.[Symbol.dispose]();
    if (this.#present !== null) Atomics.store(new Int32Array(this.#present.cancelled), 0, 1);
    await this.#worker.terminate();
  }

  #onMessage(message: WorkerMessage): void {
    const present = this.#present;
    if (present === null || message.id !== this.#jobs) return;
    if ('readBytes' in message) {
      present.onProgress(message.readBytes);
      return;
    }
    if ('chunk' in message) {
      present.onChunk(message.chunk);
      return;
    }
    this.#present = null;
    present.settle(message.outcome);
    // An idle worker must not keep the process alive.
    this.#worker.unref();
    this.#timer = this.#options.clock.after(this.#options.idleMs ?? IDLE_MS, () => void this.stop());
    this.#events.free();
  }

  /** The thread has ended, by itself or because it was told to; comes once or twice. */
  #onEnd(reason: string): void {
    this.#stopping = true;
    this.#present?.fail(new InternalError(`layer worker ended: ${reason}`));
    this.#present = null;
    this.#events.gone();
  }
}
