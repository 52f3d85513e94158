/** Lets a fixed number of jobs run at a time; the others wait in line. */
export class Gate {
  #width: number;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#width = Math.max(1, width);
    this.#free = this.#width;
  }

  /** Lets another number run from now on; jobs that run already are not disturbed. */
  widen(width: number): void {
    const before = this.#width;
    this.#width = Math.max(1, width);
    this.#free += this.#width - before;
    while (this.#free > 0 && this.#waiting.length > 0) {
      this.#free -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** True when the next job would have to wait. */
  get isFull(): boolean {
    return this.#free <= 0;
  }

  /** Waits for a place; dispose of it to let the next in. Rejects with the signal's reason when aborted before. */
  async enter(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#free += 1;
        if (this.#free <= 0 || this.#waiting.length === 0) return;
        this.#free -= 1;
        this.#waiting.shift()?.();
      },
    };
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    const onAbort = (): void => {
      const place = this.#waiting.indexOf(resolve);
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
