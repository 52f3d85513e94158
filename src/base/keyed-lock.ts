/** Mutual exclusion by key, first come first served; keys that nobody holds cost nothing. */
export class KeyedLock<Key> {
  readonly #tails = new Map<Key, Promise<void>>();

  /**
   * Runs `job` while no other job of the same key runs, and settles as it does. An abort while others hold the key
   * rejects at once with the signal's reason; later it is the job's business.
   */
  async hold<T>(key: Key, job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: mine, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => mine);
    this.#tails.set(key, tail);
    // Who gives up early keeps his place until those before him are through: nobody overtakes.
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    try {
      await (signal === undefined ? before : unlessAborted(before, signal));
      return await job();
    } finally {
      release();
    }
  }
}

async function unlessAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
