import { EngineError } from './errors.ts';

/**
 * Set up step by step, undo in reverse on failure. Each successful step registers how to take it back; `commit()`
 * keeps everything; leaving the `await using` block without it takes back all, last step first. A failing undo does
 * not stop the others; use {@link Undo.guard} so that such failures are added to the first error and never replace it.
 */
export class Undo implements AsyncDisposable {
  #steps: (() => Promise<void> | void)[] = [];

  /** Registers how to take the step just done back. */
  defer(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  /** Keeps what was set up. */
  commit(): void {
    this.#steps = [];
  }

  /** Takes over what `other` would take back, as if it had been set up here and now. */
  adopt(other: Undo): void {
    this.#steps.push(...other.#steps.splice(0));
  }

  /** Hands all so far over to an Undo of its own, for whoever goes on with it later. */
  move(): Undo {
    const moved = new Undo();
    moved.adopt(this);
    return moved;
  }

  /** Takes everything back, last first; returns what failed. Idempotent. */
  async rollBack(): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (failure) {
        failures.push(failure);
      }
    }
    return failures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollBack();
  }

  /** Runs `job` with a fresh Undo; commits when it returns, rolls back and rethrows its error when it throws. */
  static async guard<T>(job: (undo: Undo) => Promise<T>): Promise<T> {
    const undo = new Undo();
    try {
      const result = await job(undo);
      undo.commit();
      return result;
    } catch (error) {
      const failures = await undo.rollBack();
      if (error instanceof EngineError) error.cleanupFailures.push(...failures);
      throw error;
    }
  }
}
