import type { Clock } from '../../../base/clock.ts';

/** Somebody who reads this slowly does not keep a container from ending; dockerd's figure. */
const PATIENCE_MS = 2000;

/**
 * Copies of a container's output to clients. Who waits for its end hears of it after them: libraries attach, start, wait,
 * and then look at what has arrived.
 */
export class Audience {
  readonly #copies = new Set<Promise<unknown>>();

  /** Counts a copy until it settles. */
  async during<T>(copy: Promise<T>): Promise<T> {
    this.#copies.add(copy);
    try {
      return await copy;
    } finally {
      this.#copies.delete(copy);
    }
  }

  /** Settles when all copies of now have done so, or patience is over: they are not waited for again. Never rejects. */
  async heard(clock: Clock): Promise<void> {
    const copies = [...this.#copies];
    if (copies.length === 0) return;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    using _timer = clock.after(PATIENCE_MS, resolve);
    await Promise.race([Promise.allSettled(copies), over]);
    for (const copy of copies) this.#copies.delete(copy);
  }
}
