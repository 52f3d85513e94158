import type { Clock } from '../../base/clock.ts';
import type { Progress, ProgressSink } from './types.ts';

/** dockerd's rate: a terminal shows no more, and a slow client is not flooded. */
const INTERVAL_MS = 100;

/** Counts one transfer and says so at most ten times a second. */
export class ProgressMeter {
  readonly #sink: ProgressSink;
  readonly #clock: Clock;
  readonly #record: Progress & { readonly total: number };
  #lastMs: number | null = null;

  constructor(sink: ProgressSink, clock: Clock, record: Progress & { readonly total: number }) {
    this.#sink = sink;
    this.#clock = clock;
    this.#record = record;
  }

  /** The first call is always shown. */
  update(current: number): void {
    const now = this.#clock.monotonicMs();
    if (this.#lastMs !== null && now - this.#lastMs < INTERVAL_MS) return;
    this.#lastMs = now;
    this.#sink({ ...this.#record, current });
  }

  /** Shows the end whatever was shown before. */
  finish(): void {
    this.#sink({ ...this.#record, current: this.#record.total });
  }
}

/**
 * A stream of records that several clients may watch. Who comes late sees where everything stands: the last record of
 * each id, and every line without one, in the order in which they came.
 */
export class ProgressBroadcast {
  readonly #sinks = new Set<ProgressSink>();
  readonly #latest = new Map<string | Progress, Progress>();

  readonly sink: ProgressSink = (progress) => {
    // A line without an id stands for itself.
    this.#latest.set(progress.id ?? progress, progress);
    for (const sink of this.#sinks) sink(progress);
  };

  /** Adds a watcher; dispose to leave. */
  join(sink: ProgressSink): Disposable {
    for (const progress of this.#latest.values()) sink(progress);
    this.#sinks.add(sink);
    return { [Symbol.dispose]: () => void this.#sinks.delete(sink) };
  }
}
