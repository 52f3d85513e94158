/**
 * One write-out of a file system for all who wait for one: what asks while one runs gets the next, which begins after all
 * their writes. Layers that come one after another thus pay for few, and unpacking goes on meanwhile.
 */
export class SharedSync {
  readonly #sync: (path: string) => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** `sync` writes out the file system that `path` is on. */
  constructor(sync: (path: string) => Promise<void>) {
    this.#sync = sync;
  }

  /** Settles when all that was written before this call is on the disk. All callers must mean the same file system. */
  async done(path: string): Promise<void> {
    if (this.#running === null) return this.#start(path);
    const before = this.#running;
    this.#next ??= before.then(
      async () => this.#startNext(path),
      // Its own callers hear of a failure.
      async () => this.#startNext(path),
    );
    return this.#next;
  }

  async #startNext(path: string): Promise<void> {
    this.#next = null;
    return this.#start(path);
  }

  async #start(path: string): Promise<void> {
    const running = this.#sync(path);
    this.#running = running;
    try {
      await running;
    } finally {
      if (this.#running === running) this.#running = null;
    }
  }
}
