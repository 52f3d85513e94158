/**
 * A bounded queue between a producer that must not wait (events, log records) and one slow consumer. When the
 * consumer falls too far behind the queue closes with an error instead of growing: the consumer's stream ends with
 * that error, and nobody loses items silently.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #items: T[] = [];
  #wake: (() => void) | null = null;
  #closed = false;
  #failure: Error | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds an item; returns false when the queue is closed or has just overflowed. */
  push(item: T): boolean {
    if (this.#closed) return false;
    if (this.#items.length >= this.#limit) {
      this.close(new Error(`consumer fell more than ${String(this.#limit)} items behind`));
      return false;
    }
    this.#items.push(item);
    this.#notify();
    return true;
  }

  /** Ends the queue; what is in it is still delivered, then the iteration ends (or throws `failure`). */
  close(failure: Error | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = failure;
    this.#notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
        continue;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
