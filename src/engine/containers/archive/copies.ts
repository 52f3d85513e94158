import type { Clock } from '../../../base/clock.ts';
import { ConflictError } from '../../../base/errors.ts';

/** How long a start waits for copies of what ran before; a client that has stopped reading must not keep it for ever. */
const PATIENCE_MS = 10_000;

/** One copy under way; dispose when it has let go of the container's files. */
export interface Copy extends Disposable {
  /** Aborted when it must end. */
  readonly signal: AbortSignal;
}

/**
 * The copies of one container. Each holds its root mounted somewhere; the same writable layer must not be mounted twice, so
 * whoever mounts it anew asks them to end first.
 */
export class Copies {
  readonly #under = new Set<AbortController>();
  #idle: PromiseWithResolvers<void> | null = null;
  /** Gives back what was mounted for copies alone; null while nothing is. */
  #giveBack: (() => Promise<void>) | null = null;
  #isGivingBack = false;

  /** True while the root is mounted for copies alone. */
  get holdsRoot(): boolean {
    return this.#giveBack !== null;
  }

  begin(): Copy {
    const abort = new AbortController();
    this.#under.add(abort);
    return {
      signal: abort.signal,
      [Symbol.dispose]: () => {
        if (this.#under.delete(abort) && this.#under.size === 0) this.#end();
      },
    };
  }

  /** The root has been mounted for copies: the last one gives it back. */
  keep(giveBack: () => Promise<void>): void {
    this.#giveBack = giveBack;
  }

  /** Resolves when no copy is under way, and nothing mounted for one; those that take too long are cut off. */
  async settle(clock: Clock): Promise<void> {
    if (this.#under.size === 0 && !this.#isGivingBack) return;
    this.#idle ??= Promise.withResolvers();
    const { promise } = this.#idle;
    using _timer = clock.after(PATIENCE_MS, () => this.cut());
    await promise;
  }

  /** Ends all copies, as soon as each can. */
  cut(): void {
    for (const abort of this.#under) abort.abort(new ConflictError('the container was started or removed meanwhile'));
  }

  #end(): void {
    const giveBack = this.#giveBack;
    this.#giveBack = null;
    if (giveBack === null) {
      this.#tellIdle();
      return;
    }
    this.#isGivingBack = true;
    void giveBack().finally(() => {
      this.#isGivingBack = false;
      this.#tellIdle();
    });
  }

  #tellIdle(): void {
    if (this.#under.size > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }
}
