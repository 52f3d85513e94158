import type { Clock, Timestamp } from '../../base/clock.ts';
import { ConflictError, messageOf } from '../../base/errors.ts';
import { engineErrorName } from '../bus/errors.ts';
import type { Variant } from '../bus/exported.ts';
import { ProgressMeter, type JobItem, type JobStanding } from './job-progress.ts';
import type { JobProgress, JobRequest } from './jobs.ts';

export type JobState = 'queued' | 'running' | 'finished';
export type JobResult = 'done' | 'failed' | 'canceled' | 'timeout';
type Details = Readonly<Record<string, Variant>>;

/** How a job ended. */
export interface JobOutcome {
  readonly result: JobResult;
  /** D-Bus error name, and its text; '' for a job that is done. */
  readonly errorName: string;
  readonly errorMessage: string;
  readonly details: Details;
}

/** Told by a job, in order. */
export interface JobListener {
  started(job: Job): void;
  progressed(job: Job, standing: JobStanding): void;
  itemProgressed(job: Job, item: JobItem): void;
  logged(job: Job, priority: number, line: string): void;
  finished(job: Job, outcome: JobOutcome): void;
}

/** What a job needs of its surroundings. */
export interface JobGround {
  readonly clock: Clock;
  readonly listener: JobListener;
  /** The bus's words for what the work threw. */
  readonly describeError: (thrown: unknown) => { readonly name: string; readonly message: string };
}

/** One long operation. It knows neither bus nor tree. */
export class Job {
  readonly id: number;
  readonly request: JobRequest;
  readonly startedAt: Timestamp;
  readonly #ground: JobGround;
  readonly #meter: ProgressMeter;
  readonly #canceling = new AbortController();
  readonly #ended = Promise.withResolvers<JobOutcome>();
  #state: JobState = 'queued';
  #outcome: JobOutcome | null = null;

  constructor(id: number, request: JobRequest, ground: JobGround) {
    this.id = id;
    this.request = request;
    this.#ground = ground;
    this.startedAt = ground.clock.now();
    this.#meter = new ProgressMeter(ground.clock, {
      progressed: (standing) => {
        ground.listener.progressed(this, standing);
      },
      itemProgressed: (item) => {
        ground.listener.itemProgressed(this, item);
      },
    });
  }

  get state(): JobState {
    return this.#state;
  }

  get meter(): ProgressMeter {
    return this.#meter;
  }

  /** Null until it is finished. */
  get outcome(): JobOutcome | null {
    return this.#outcome;
  }

  /** Settles at the end, never rejects. */
  get ended(): Promise<JobOutcome> {
    return this.#ended.promise;
  }

  /** Does the work; everything that comes of it is told through the listener. */
  async run(work: (progress: JobProgress) => Promise<Details>): Promise<void> {
    if (this.#state !== 'queued') return;
    this.#state = 'running';
    this.#ground.listener.started(this);
    const { signal } = this.#canceling;
    try {
      signal.throwIfAborted();
      const details = await work(this.#progress());
      this.#finish({ result: 'done', errorName: '', errorMessage: '', details });
    } catch (thrown) {
      this.#finish(this.#failureOf(thrown));
    }
  }

  /** ConflictError when it is over or cannot be canceled. The job ends when its work has let go. */
  cancel(): void {
    if (this.#state === 'finished') throw new ConflictError(`job ${String(this.id)} has finished already`);
    if (!this.request.cancelable) throw new ConflictError(`job ${String(this.id)} cannot be canceled`);
    this.abort('the job was canceled');
  }

  /** The daemon ends: asks the work to stop, cancelable or not. */
  abort(reason: string): void {
    this.#canceling.abort(new Error(reason));
    if (this.#state === 'queued') this.abandon();
  }

  /** Ends the job without waiting any longer for its work. */
  abandon(): void {
    this.#finish(this.#failureOf(this.#canceling.signal.reason));
  }

  #progress(): JobProgress {
    const whileRunning = (tell: () => void): void => {
      if (this.#state === 'running') tell();
    };
    return {
      signal: this.#canceling.signal,
      report: (progress) => {
        whileRunning(() => {
          this.#meter.report(progress);
        });
      },
      item: (progress) => {
        whileRunning(() => {
          this.#meter.item(progress);
        });
      },
      log: (priority, line) => {
        whileRunning(() => {
          this.#ground.listener.logged(this, priority, line);
        });
      },
    };
  }

  #failureOf(thrown: unknown): JobOutcome {
    const isTimeout = thrown instanceof DOMException && thrown.name === 'TimeoutError';
    const result = this.#canceling.signal.aborted ? 'canceled' : isTimeout ? 'timeout' : 'failed';
    switch (result) {
      case 'canceled':
        return endOf(result, engineErrorName('Cancelled'), messageOf(this.#canceling.signal.reason));
      case 'timeout':
        return endOf(result, engineErrorName('Timeout'), messageOf(thrown));
      case 'failed': {
        const { name, message } = this.#ground.describeError(thrown);
        return endOf(result, name, message);
      }
    }
  }

  #finish(outcome: JobOutcome): void {
    if (this.#state === 'finished') return;
    this.#state = 'finished';
    this.#outcome = outcome;
    this.#meter.finish();
    this.#ground.listener.finished(this, outcome);
    this.request.onEnd?.();
    this.#ended.resolve(outcome);
  }
}

function endOf(result: JobResult, errorName: string, errorMessage: string): JobOutcome {
  return { result, errorName, errorMessage, details: {} };
}
