/**
 * Runs jobs one after another, in the order they were put in: the heart of an actor. A failing job rejects its own
 * promise only. A job must not wait for a later job of the same mailbox.
 */
export class Mailbox {
  #tail: Promise<unknown> = Promise.resolve();

  /** Puts `job` at the end of the queue and settles as it does. */
  run<T>(job: () => Promise<T> | T): Promise<T> {
    const result = this.#tail.then(job);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Settles when everything put in so far has been done. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}
