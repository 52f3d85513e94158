import type { Clock, Timestamp } from '../../src/base/clock.ts';

interface Pending {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #elapsedMs = 0;
  readonly #startNs: bigint;
  readonly #pending = new Set<Pending>();

  constructor(start = '2026-01-01T00:00:00Z') {
    this.#startNs = BigInt(Date.parse(start)) * 1_000_000n;
  }

  now(): Timestamp {
    return (this.#startNs + BigInt(Math.round(this.#elapsedMs * 1e6))) as Timestamp;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, callback: () => void): Disposable {
    const pending = { dueMs: this.#elapsedMs + delayMs, callback };
    this.#pending.add(pending);
    return { [Symbol.dispose]: () => void this.#pending.delete(pending) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const timer = this.after(delayMs, resolve);
      signal?.addEventListener('abort', () => {
        timer[Symbol.dispose]();
        reject(signal.reason as Error);
      });
    });
  }

  /** How many timers wait. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Moves time on, firing what falls due in order; lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsedMs + ms;
    for (;;) {
      const next = [...this.#pending].filter(({ dueMs }) => dueMs <= target).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.callback();
      await settle();
    }
    this.#elapsedMs = target;
    await settle();
  }
}

/** Lets all promise callbacks that are ready run. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
