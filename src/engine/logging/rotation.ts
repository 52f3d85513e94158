import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ContainerLog, ReadableLogDriver } from './driver.ts';

/** Pause before the first look at a new log: it may be a flood. */
const FIRST_INTERVAL_MS = 250;
/** Pause between two looks while a flood runs: what a log outgrows its bound by is what its container writes meanwhile. */
const FLOOD_INTERVAL_MS = 50;
/** The longest pause, when nothing had to be rotated for a while. */
const IDLE_INTERVAL_MS = 8000;
/** A rotation makes the pause shorter by this factor; a look without one doubles it. */
const HURRY = 4;

/** A log that is being written. */
export interface GrowingLog {
  readonly log: ContainerLog;
  readonly driver: ReadableLogDriver;
  /** The container's log options, which hold the bounds. */
  readonly options: Readonly<Record<string, string>>;
  /** Asks the writer for a fresh file. */
  readonly reopen: () => Promise<void>;
}

/**
 * Keeps logs within their bounds while their containers run. The monitor writes, so that a log goes on without the
 * daemon; the daemon looks at sizes from time to time. One timer serves all logs, and there is none when nothing runs:
 * following each write by inotify would wake the daemon for every line of every container.
 */
export class LogRotation implements Disposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #growing = new Set<GrowingLog>();
  /** The log whose files are being moved, and until when. */
  #moving: { readonly path: string; readonly done: Promise<void> } | null = null;
  #timer: Disposable | null = null;
  #intervalMs = FIRST_INTERVAL_MS;
  #isLooking = false;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Bounds `growing` until the result is disposed: to be called at start and adoption, disposed at the exit. */
  keep(growing: GrowingLog): Disposable {
    this.#growing.add(growing);
    this.#intervalMs = Math.min(this.#intervalMs, FIRST_INTERVAL_MS);
    this.#stop();
    this.#plan();
    return {
      [Symbol.dispose]: () => {
        this.#growing.delete(growing);
        if (this.#growing.size === 0) this.#stop();
      },
    };
  }

  /** Settles when the files of a log that is kept no more are not moved any more either: its directory may go. */
  async letGo(path: string): Promise<void> {
    if (this.#moving?.path === path) await this.#moving.done;
  }

  [Symbol.dispose](): void {
    this.#growing.clear();
    this.#stop();
  }

  #plan(): void {
    if (this.#timer !== null || this.#isLooking || this.#growing.size === 0) return;
    this.#timer = this.#clock.after(this.#intervalMs, () => {
      this.#timer = null;
      void this.#look();
    });
  }

  #stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const rotated: GrowingLog[] = [];
    for (const growing of [...this.#growing]) {
      const { log, driver, options, reopen } = growing;
      if (!this.#growing.has(growing)) continue;
      const { promise: done, resolve } = Promise.withResolvers<void>();
      this.#moving = { path: log.path, done };
      try {
        await driver.rotate(log, options, () => {
          rotated.push(growing);
          return reopen();
        });
      } catch (error) {
        // One log that cannot be moved (a full disk, a removed directory) must not leave the others unbounded.
        this.#logger.warn('a container log could not be rotated', { path: log.path, reason: messageOf(error) });
      } finally {
        this.#moving = null;
        resolve();
      }
    }
    this.#intervalMs =
      rotated.length > 0
        ? Math.max(this.#intervalMs / HURRY, FLOOD_INTERVAL_MS)
        : Math.min(this.#intervalMs * 2, IDLE_INTERVAL_MS);
    this.#isLooking = false;
    this.#plan();
  }
}
