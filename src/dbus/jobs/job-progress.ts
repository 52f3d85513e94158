import type { Clock } from '../../base/clock.ts';
import { usecOf } from '../bus/times.ts';

/** Four signals a second are enough for a bar, and no burden for a bus. */
const TICK_MS = 250;
/** Items told of at one tick; the others wait for the next, so that an image of many layers floods nobody. */
const ITEMS_PER_TICK = 8;
/** Weight of the newest sample in the rate: a bar that neither jumps nor lags. */
const RATE_WEIGHT = 0.3;

/** Where a job stands. */
export interface JobStanding {
  readonly phase: string;
  readonly done: number;
  /** 0: not known. */
  readonly total: number;
}

export interface JobItem extends JobStanding {
  readonly item: string;
}

/** Called at most four times a second. */
export interface ProgressListener {
  progressed(standing: JobStanding): void;
  itemProgressed(item: JobItem): void;
}

/**
 * The numbers of one job: as new as the last report for who reads them, signalled at most four times a second. Of
 * reports that follow one another faster only the newest is told; the last is never lost.
 */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #listener: ProgressListener;
  /** Items with news, the longest waiting first. */
  readonly #items = new Map<string, JobItem>();
  #standing: JobStanding = { phase: '', done: 0, total: 0 };
  #hasNews = false;
  #timer: Disposable | null = null;
  #sample: { readonly atMs: number; readonly done: number } | null = null;
  #bytesPerSecond = 0;

  constructor(clock: Clock, listener: ProgressListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  get standing(): JobStanding {
    return this.#standing;
  }

  /** 0 to 1; -1 when the total is not known. */
  get fraction(): number {
    return fractionOf(this.#standing);
  }

  /** Bytes a second; 0 when not known. */
  get rate(): number {
    return Math.round(this.#bytesPerSecond);
  }

  /** Microseconds since 1970 at which it ends at the present rate; 0 when that cannot be said. */
  get expectedEndUsec(): bigint {
    const { done, total } = this.#standing;
    if (total === 0 || this.#bytesPerSecond <= 0) return 0n;
    const remainingSeconds = Math.max(0, total - done) / this.#bytesPerSecond;
    return usecOf(this.#clock.now()) + BigInt(Math.round(remainingSeconds * 1e6));
  }

  report(standing: JobStanding): void {
    const isNewPhase = standing.phase !== this.#standing.phase;
    this.#standing = { phase: standing.phase, done: countOf(standing.done), total: countOf(standing.total) };
    if (isNewPhase) this.#startOver();
    this.#hasNews = true;
    this.#schedule();
  }

  item(item: JobItem): void {
    const known = this.#items.has(item.item);
    const entry = { ...item, done: countOf(item.done), total: countOf(item.total) };
    if (known || this.#items.size < MAX_WAITING_ITEMS) this.#items.set(item.item, entry);
    this.#schedule();
  }

  /** Tells all that is still to be told. */
  finish(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#tell(this.#items.size);
  }

  /** The first news after a quiet time leaves at once, later ones at the next tick. */
  #schedule(): void {
    if (this.#timer !== null) return;
    this.#tell(ITEMS_PER_TICK);
    this.#timer = this.#clock.after(TICK_MS, () => {
      this.#timer = null;
      if (this.#hasNews || this.#items.size > 0) this.#schedule();
    });
  }

  #tell(itemCount: number): void {
    if (this.#hasNews) {
      this.#hasNews = false;
      this.#measure();
      this.#listener.progressed(this.#standing);
    }
    for (const item of [...this.#items.values()].slice(0, itemCount)) {
      this.#items.delete(item.item);
      this.#listener.itemProgressed(item);
    }
  }

  /** Another phase counts something else: a rate across both would mean nothing. */
  #startOver(): void {
    this.#sample = null;
    this.#bytesPerSecond = 0;
  }

  #measure(): void {
    const atMs = this.#clock.monotonicMs();
    const { done } = this.#standing;
    const before = this.#sample;
    this.#sample = { atMs, done };
    if (before === null) return;
    if (done < before.done) {
      this.#startOver();
      return;
    }
    if (atMs <= before.atMs) return;
    const now = ((done - before.done) * 1000) / (atMs - before.atMs);
    this.#bytesPerSecond =
      this.#bytesPerSecond === 0 ? now : this.#bytesPerSecond * (1 - RATE_WEIGHT) + now * RATE_WEIGHT;
  }
}

/** An image has some hundred layers at most; what reports more is not listened to. */
const MAX_WAITING_ITEMS = 1024;

/** 0 to 1; -1 when the total is not known. */
export function fractionOf({ done, total }: JobStanding): number {
  return total === 0 ? -1 : Math.min(1, done / total);
}

/** What goes over the bus is unsigned and whole. */
function countOf(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.floor(value) : 0;
}
