import type { Clock } from '../../../base/clock.ts';
import { UnavailableError } from '../../../base/errors.ts';
import { Gate } from '../../../base/gate.ts';
import type { TreeGatherer } from '../../storage/gathering.ts';

export interface ArrivalOptions {
  readonly clock: Clock;
  /** So many archives come at a time; each holds a worker. */
  readonly atATime: number;
  /** Who sends nothing for so long gives way to somebody who waits. */
  readonly silenceMs: number;
}

/** One archive that is on its way. */
class Arrival {
  readonly stop = new AbortController();
  lastMs: number;

  constructor(nowMs: number) {
    this.lastMs = nowMs;
  }
}

/**
 * A {@link TreeGatherer} that a few silent clients cannot hold: as long as there is a place for everybody each takes the
 * time that it needs; when somebody waits, the one that has been silent longest has to go.
 */
export class PatientGatherer implements TreeGatherer {
  readonly #inner: TreeGatherer;
  readonly #options: ArrivalOptions;
  readonly #gate: Gate;
  readonly #present = new Set<Arrival>();
  #waiting = 0;
  #timer: Disposable | null = null;

  constructor(inner: TreeGatherer, options: ArrivalOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#gate = new Gate(options.atATime);
  }

  async receive(root: string, tar: AsyncIterable<Buffer>, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    using _place = await this.#enter(signal);
    const arrival = new Arrival(this.#options.clock.monotonicMs());
    this.#present.add(arrival);
    try {
      await this.#inner.receive(root, this.#watched(tar, arrival), { signal });
    } finally {
      this.#present.delete(arrival);
    }
  }

  async gather(...args: Parameters<TreeGatherer['gather']>): Promise<void> {
    await this.#inner.gather(...args);
  }

  async sift(...args: Parameters<TreeGatherer['sift']>): Promise<void> {
    await this.#inner.sift(...args);
  }

  async remove(root: string): Promise<void> {
    await this.#inner.remove(root);
  }

  async #enter(signal: AbortSignal): Promise<Disposable> {
    if (!this.#gate.isFull) return this.#gate.enter(signal);
    this.#waiting += 1;
    try {
      const place = this.#gate.enter(signal);
      this.#look();
      return await place;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Sends away as many as there are waiting, of those that have been silent for too long; looks again when the next will be. */
  #look(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const { clock, silenceMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const going = [...this.#present].filter(({ stop }) => stop.signal.aborted).length;
    const staying = [...this.#present].filter(({ stop }) => !stop.signal.aborted).sort((a, b) => a.lastMs - b.lastMs);
    for (const { stop, lastMs } of staying.slice(0, Math.max(0, this.#waiting - going))) {
      const leftMs = lastMs + silenceMs - nowMs;
      if (leftMs > 0) {
        this.#timer = clock.after(leftMs, () => this.#look());
        return;
      }
      stop.abort(silent(silenceMs));
    }
  }

  /** Its pieces, as they come; fails when it has to go, whatever its source does. */
  async *#watched(tar: AsyncIterable<Buffer>, arrival: Arrival): AsyncGenerator<Buffer, void, void> {
    const { clock } = this.#options;
    const { promise: sentAway, reject } = Promise.withResolvers<never>();
    // Whoever waits for a piece hears of it.
    sentAway.catch(() => undefined);
    arrival.stop.signal.addEventListener('abort', () => reject(arrival.stop.signal.reason), { once: true });
    const pieces = tar[Symbol.asyncIterator]();
    try {
      for (;;) {
        const piece = await Promise.race([pieces.next(), sentAway]);
        if (piece.done === true) return;
        arrival.lastMs = clock.monotonicMs();
        yield piece.value;
        // A worker that takes its time is not the client's silence.
        arrival.lastMs = clock.monotonicMs();
      }
    } finally {
      // Not waited for: a silent source answers no return either.
      void pieces.return?.().catch(() => undefined);
    }
  }
}

function silent(silenceMs: number): UnavailableError {
  const seconds = String(silenceMs / 1000);
  return new UnavailableError(
    `nothing has come of the build context for ${seconds} seconds, and others wait to send theirs`,
  );
}
