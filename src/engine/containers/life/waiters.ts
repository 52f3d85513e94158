import type { WaitCondition, WaitResult } from '../types.ts';

const ENDED_BEFORE = 'the container ended before it was healthy';

interface Waiter {
  readonly condition: WaitCondition;
  readonly resolve: (result: WaitResult) => void;
}

/**
 * Who waits for a container. They are told by the actor itself after it has changed state, so a stop and a start close
 * together are both seen.
 */
export class Waiters {
  readonly #waiting = new Set<Waiter>();

  /** Settles at the next exit (`not-running`, `next-exit`) or at removal; rejects with the signal's reason. */
  add(condition: WaitCondition, signal: AbortSignal | null): Promise<WaitResult> {
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
    const waiter: Waiter = {
      condition,
      resolve: (result) => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener('abort', abort);
        resolve(result);
      },
    };
    const abort = (): void => {
      this.#waiting.delete(waiter);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted === true) {
      abort();
      return promise;
    }
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.add(waiter);
    return promise;
  }

  /** The process has ended (or could not be started). */
  exited(result: WaitResult): void {
    for (const waiter of [...this.#waiting]) {
      if (waiter.condition === 'healthy') waiter.resolve({ ...result, error: result.error ?? ENDED_BEFORE });
      else if (waiter.condition !== 'removed') waiter.resolve(result);
    }
  }

  /** Its health check has found it healthy. */
  healthy(): void {
    for (const waiter of [...this.#waiting]) {
      if (waiter.condition === 'healthy') waiter.resolve({ exitCode: 0, error: null });
    }
  }

  /** The container is gone, or never will be (`error`). */
  removed(result: WaitResult): void {
    for (const waiter of [...this.#waiting]) waiter.resolve(result);
  }
}
