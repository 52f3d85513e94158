/** Mutual exclusion by key, first come first served; keys that nobody holds cost nothing. */
export class KeyedLock<Key> {
  readonly #tails = new Map<Key, Promise<void>>();

  /** Runs `job` while no other job of the same key runs, and settles as it does. */
  async hold<T>(key: Key, job: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: mine, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => mine);
    this.#tails.set(key, tail);
    await before;
    try {
      return await job();
    } finally {
      release();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
