import type { Clock } from '../../base/clock.ts';
import { NotFoundError, UnavailableError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { errorReply, namedError, type ErrorReply } from '../bus/errors.ts';
import { variant, type ObjectTree, type Variant } from '../bus/exported.ts';
import { Job, type JobListener, type JobOutcome } from './job.ts';
import { fractionOf } from './job-progress.ts';
import type { JobProgress, JobRequest, Jobs } from './jobs.ts';
import { interfaceName, MANAGER_PATH, pathOf } from '../names.ts';
import { jobObject } from '../objects/job.ts';

/** A finished job stays this long: some clients look for it only after they got its path. */
const KEPT_MS = 60_000;
/** Finished jobs that stay; the oldest go first. A script of a thousand short jobs must not fill the tree. */
const KEPT_COUNT = 256;
/** Jobs under way; a client in a loop must not take the daemon's memory. */
const ACTIVE_LIMIT = 1024;
/** How long the end of the daemon waits for jobs to let go. */
const CLOSE_LIMIT_MS = 10_000;

export interface JobRegistryOptions {
  readonly tree: ObjectTree;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * All jobs of this daemon, each an object in the tree. A job belongs to nobody's connection: it goes on when its
 * starter has left the bus, and when the bus itself is restarted.
 */
export class JobRegistry implements Jobs {
  readonly #options: JobRegistryOptions;
  readonly #jobs = new Map<number, Job>();
  /** Finished ones, the oldest first, with the timer that takes each away. */
  readonly #kept = new Map<number, Disposable>();
  #lastId = 0;
  #isClosing = false;

  constructor(options: JobRegistryOptions) {
    this.#options = options;
  }

  start(request: JobRequest, work: (progress: JobProgress) => Promise<Readonly<Record<string, Variant>>>): string {
    if (this.#isClosing) throw new UnavailableError('the engine is shutting down');
    if (this.activeCount >= ACTIVE_LIMIT) {
      throw new UnavailableError(`too many jobs are under way: ${String(ACTIVE_LIMIT)}`);
    }
    const id = (this.#lastId += 1);
    const { clock, tree } = this.#options;
    const describeError = (thrown: unknown): ErrorReply => this.#describe(request.type, thrown);
    const job = new Job(id, request, { clock, describeError, listener: this.#listener });
    this.#jobs.set(id, job);
    const path = pathOf('job', String(id));
    tree.add(jobObject(job));
    tree.emit(MANAGER_PATH, interfaceName('Manager'), 'JobNew', [id, path]);
    // After the reply that carries the path: whatever the work tells comes to a client that knows the job.
    clock.after(0, () => void job.run(work));
    return path;
  }

  /** How many are under way. */
  get activeCount(): number {
    return this.#jobs.size - this.#kept.size;
  }

  /** All that are under way and those that finished a short while ago, in order of their start. */
  list(): readonly Job[] {
    return [...this.#jobs.values()];
  }

  /**
   * How the job ended, at once if it has. NotFoundError for one that never was or ended longer ago; the error
   * `Timeout` after `timeoutMs` (null: never); the signal's reason when it is aborted. The job goes on in both cases.
   */
  async wait(id: number, timeoutMs: number | null, signal: AbortSignal): Promise<JobOutcome> {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new NotFoundError(`No such job: ${String(id)}`);
    if (job.outcome !== null) return job.outcome;
    signal.throwIfAborted();
    const { promise: interrupted, reject } = Promise.withResolvers<never>();
    const leave = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true });
    using timers = new DisposableStack();
    if (timeoutMs !== null) {
      timers.use(
        this.#options.clock.after(timeoutMs, () => {
          reject(namedError('Timeout', `job ${String(id)} has not finished yet`));
        }),
      );
    }
    try {
      return await Promise.race([job.ended, interrupted]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Takes no more jobs, cancels all that are under way and waits for them, yet not for ever. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const active = this.list().filter(({ state }) => state !== 'finished');
    for (const job of active) job.abort('the engine is shutting down');
    const { promise: waitedEnough, resolve } = Promise.withResolvers<void>();
    using _limit = this.#options.clock.after(CLOSE_LIMIT_MS, resolve);
    await Promise.race([Promise.all(active.map(({ ended }) => ended)), waitedEnough]);
    for (const job of active) job.abandon();
    for (const timer of this.#kept.values()) timer[Symbol.dispose]();
    this.#kept.clear();
  }

  readonly #listener: JobListener = {
    started: (job) => {
      this.#options.tree.changed(this.#pathOf(job));
    },
    progressed: (job, standing) => {
      const path = this.#pathOf(job);
      const { done, total, phase } = standing;
      this.#options.tree.changed(path);
      this.#options.tree.emit(path, interfaceName('Job'), 'Progress', [fractionOf(standing), done, total, phase]);
    },
    itemProgressed: (job, { item, phase, done, total }) => {
      this.#options.tree.emit(this.#pathOf(job), interfaceName('Job'), 'ItemProgress', [item, phase, done, total]);
    },
    logged: (job, priority, line) => {
      const args = [priority, Buffer.from(line)];
      const destination = job.request.call.caller;
      this.#options.tree.emit(this.#pathOf(job), interfaceName('Job'), 'Log', args, { destination });
    },
    finished: (job, outcome) => {
      const path = this.#pathOf(job);
      const { tree } = this.#options;
      const details = detailsOf(outcome);
      tree.changed(path);
      tree.emit(path, interfaceName('Job'), 'Completed', [outcome.result, details]);
      tree.emit(MANAGER_PATH, interfaceName('Manager'), 'JobRemoved', [job.id, path, outcome.result, details]);
      this.#keep(job.id);
    },
  };

  #describe(type: string, thrown: unknown): ErrorReply {
    const reply = errorReply(thrown);
    if (reply.isFault) {
      const error = thrown instanceof Error ? thrown.stack : String(thrown);
      this.#options.logger.error('a job failed by a fault of the engine', { type, error });
    }
    return reply;
  }

  #pathOf(job: Job): string {
    return pathOf('job', String(job.id));
  }

  #keep(id: number): void {
    this.#kept.set(
      id,
      this.#options.clock.after(KEPT_MS, () => {
        this.#forget(id);
      }),
    );
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_COUNT && oldest !== undefined) this.#forget(oldest);
  }

  #forget(id: number): void {
    this.#kept.get(id)?.[Symbol.dispose]();
    this.#kept.delete(id);
    this.#jobs.delete(id);
    this.#options.tree.remove(pathOf('job', String(id)));
  }
}

/** What the work gave, and for a job that is not done why: a client without signals has only this. */
export function detailsOf({ errorName, errorMessage, details }: JobOutcome): Readonly<Record<string, Variant>> {
  if (errorName === '') return details;
  return { ...details, ErrorName: variant('s', errorName), ErrorMessage: variant('s', errorMessage) };
}
