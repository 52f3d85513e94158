/** Ending when nobody needs the engine; the socket stays with systemd, whose next connection starts it again. */
import type { Clock } from '../base/clock.ts';

/** Longest pause between two looks, and the pause while idleness is no reason to end. */
const LONGEST_PAUSE_MS = 1_000;
const RESTING_PAUSE_MS = 10_000;

export interface IdleOptions {
  readonly clock: Clock;
  /** Seconds of rest before the end; 0: never. Read anew each time, since a reload may change it. */
  readonly afterSeconds: () => number;
  /** True while anything runs, waits, or is connected, and when anything was since the last look. */
  readonly isBusy: () => boolean;
  /** Ends. Called once, in the same turn of the event loop in which `isBusy` was false. */
  readonly onIdle: () => void;
}

/** Watches for idleness by looking now and then; each look is a few microseconds. */
export function watchIdleness({ clock, afterSeconds, isBusy, onIdle }: IdleOptions): Disposable {
  let restingSinceMs = clock.monotonicMs();
  let timer: Disposable | null = null;
  const look = (): void => {
    const limitMs = afterSeconds() * 1000;
    if (isBusy()) restingSinceMs = clock.monotonicMs();
    else if (limitMs > 0 && clock.monotonicMs() - restingSinceMs >= limitMs) {
      timer = null;
      onIdle();
      return;
    }
    const pauseMs = limitMs === 0 ? RESTING_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, limitMs / 10);
    timer = clock.after(pauseMs, look);
  };
  look();
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
