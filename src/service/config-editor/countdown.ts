import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { BackupStore } from './backups.ts';

export interface CountdownOptions {
  readonly store: Pick<BackupStore, 'pending'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes the change back, unless somebody has spoken meanwhile. Rejects when it cannot: it is asked again later. */
  readonly expire: (checkpoint: string) => Promise<void>;
}

/** A disk that is full or read-only may be mended by then. */
const RETRY_MS = 30_000;

/** The time that a change has until it goes back without Confirm. Disposed, it stops; the next start takes it up. */
export class Countdown implements Disposable {
  readonly #options: CountdownOptions;
  #timer: Disposable | null = null;
  #isExpiring = false;
  #isDisposed = false;

  constructor(options: CountdownOptions) {
    this.#options = options;
  }

  /** A change waits for Confirm, or is going back right now. */
  get isRunning(): boolean {
    return this.#timer !== null || this.#isExpiring;
  }

  /** Counts for the change that waits, if one does. */
  start(): void {
    const { store, clock } = this.#options;
    const pending = store.pending();
    if (pending === null) {
      this.stop();
      return;
    }
    // A wall clock that was set back does not prolong it.
    const remainingMs = pending.deadlineMs - Number(clock.now() / 1_000_000n);
    this.#after(Math.min(Math.max(remainingMs, 0), pending.durationMs), pending.checkpoint);
  }

  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.stop();
  }

  #after(delayMs: number, checkpoint: string): void {
    this.stop();
    if (this.#isDisposed) return;
    this.#timer = this.#options.clock.after(delayMs, () => void this.#expire(checkpoint));
  }

  async #expire(checkpoint: string): Promise<void> {
    this.#timer = null;
    this.#isExpiring = true;
    try {
      await this.#options.expire(checkpoint);
    } catch (error) {
      this.#options.logger.error('cannot put the configuration back', { reason: messageOf(error) });
      this.#after(RETRY_MS, checkpoint);
    } finally {
      this.#isExpiring = false;
    }
  }
}
