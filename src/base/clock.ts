import type { Brand } from './brand.ts';

/** Nanoseconds since 1970-01-01T00:00:00Z. */
export type Timestamp = Brand<bigint, 'Timestamp'>;

/** What the engine knows of time. Passed in as an argument, so that tests own it. */
export interface Clock {
  /** Wall-clock time, never going backwards within one process. */
  now(): Timestamp;
  /** Milliseconds of a steady clock, for durations. */
  monotonicMs(): number;
  /**
   * Calls `callback` once after `delayMs`. The returned timer does not keep the process alive.
   * Disposing it cancels the call; disposing twice is harmless.
   */
  after(delayMs: number, callback: () => void): Disposable;
  /** Settles after `delayMs`; rejects with the signal's reason when it is aborted before. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The real clock. */
export class SystemClock implements Clock {
  readonly #offsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  #last = 0n;

  now(): Timestamp {
    // Follow steps of the wall clock (ntp, suspend) yet keep nanoseconds: hrtime counts from boot, not from 1970.
    const precise = this.#offsetNs + process.hrtime.bigint();
    const wall = BigInt(Date.now()) * 1_000_000n;
    const drift = precise - wall;
    const best = drift > MAX_DRIFT_NS || drift < -MAX_DRIFT_NS ? wall : precise;
    this.#last = best > this.#last ? best : this.#last + 1n;
    return this.#last as Timestamp;
  }

  monotonicMs(): number {
    return performance.now();
  }

  after(delayMs: number, callback: () => void): Disposable {
    return startTimer(delayMs, callback, (timer) => timer.unref());
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    using _timer = startTimer(delayMs, resolve);
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

/** Node runs a longer timer at once; Infinity never runs. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function startTimer(
  delayMs: number,
  callback: () => void,
  onStart: (timer: NodeJS.Timeout) => void = () => undefined,
): Disposable {
  let timer: NodeJS.Timeout;
  const start = (leftMs: number): void => {
    const isLast = leftMs <= LONGEST_TIMER_MS;
    timer = setTimeout(isLast ? callback : () => start(leftMs - LONGEST_TIMER_MS), isLast ? leftMs : LONGEST_TIMER_MS);
    onStart(timer);
  };
  start(delayMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** How far the steady clock may stray from the wall clock before the wall clock wins. */
const MAX_DRIFT_NS = 20_000_000n;

/** Docker's zero time: what a never-started container shows. */
export const ZERO_TIME_TEXT = '0001-01-01T00:00:00Z';

/** RFC 3339 in UTC with nanoseconds, trailing zeros of the fraction dropped as Go's RFC3339Nano does. */
export function formatTimestamp(time: Timestamp): string {
  const fraction = (time % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${secondsText(time)}${fraction === '' ? '' : `.${fraction}`}Z`;
}

/** RFC 3339 in UTC with exactly nine digits of fraction: the prefix of `docker logs -t`. */
export function formatTimestampFixed(time: Timestamp): string {
  return `${secondsText(time)}.${(time % 1_000_000_000n).toString().padStart(9, '0')}Z`;
}

/** Whole seconds since 1970, as Docker's integer `Created` and `time` fields. */
export function secondsOf(time: Timestamp): number {
  return Number(time / 1_000_000_000n);
}

/** Parses RFC 3339 with any offset and up to nine digits of fraction; null when the text is not a time. */
export function parseTimestamp(text: string): Timestamp | null {
  const match = RFC3339.exec(text);
  if (match === null) return null;
  const [, seconds, fraction = '', zone = 'Z'] = match;
  const ms = Date.parse(`${seconds ?? ''}${zone}`);
  if (Number.isNaN(ms)) return null;
  return (BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9))) as Timestamp;
}

const RFC3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

function secondsText(time: Timestamp): string {
  return new Date(Number(time / 1_000_000n)).toISOString().slice(0, 19);
}
