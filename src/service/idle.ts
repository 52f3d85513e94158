/** Ending when nobody needs the engine; the socket stays with systemd, whose next connection starts it again. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Daemon } from './compose.ts';

/** Longest pause between two looks, and the pause while idleness is no reason to end. */
const LONGEST_PAUSE_MS = 1_000;
const RESTING_PAUSE_MS = 10_000;

export interface IdleExitOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** False: nobody would start the engine again, so it stays. */
  readonly isActivated: boolean;
  /** Seconds of rest before the end; 0: never. Read anew each time, since a reload may change it. */
  readonly afterSeconds: () => number;
  readonly daemon: {
    readonly api: Pick<Daemon['api'], 'acceptedCount' | 'connectionCount' | 'close'>;
    readonly containers: Pick<Daemon['containers'], 'counts'>;
    readonly engine: { readonly events: { readonly followerCount: number } };
  };
  /** Calls and jobs under way elsewhere. */
  readonly otherWork: () => number;
  readonly end: () => void;
}

/** Ends the daemon after a rest: no container runs or waits for a restart, no client is connected, no job runs. */
export function exitWhenIdle(options: IdleExitOptions): Disposable {
  const { clock, logger, isActivated, afterSeconds, daemon, otherWork, end } = options;
  const { api, containers, engine } = daemon;
  if (!isActivated) {
    if (afterSeconds() > 0) {
      logger.warn('idle-exit has no effect: systemd did not hand over a socket, so that nothing would start it again');
    }
    return new DisposableStack();
  }
  let acceptedBefore = api.acceptedCount;
  return watchIdleness({
    clock,
    afterSeconds,
    isBusy: () => {
      const { live, restarting } = containers.counts();
      const wasAsked = api.acceptedCount !== acceptedBefore;
      acceptedBefore = api.acceptedCount;
      return wasAsked || live + restarting + api.connectionCount + engine.events.followerCount + otherWork() > 0;
    },
    onIdle: () => {
      logger.info('nobody needs the engine: ending until the next connection', { message: 'idle-exit' });
      // In this very turn: a connection from now on stays in the socket's queue, and systemd starts us for it.
      void api.close();
      end();
    },
  });
}

interface IdlenessOptions {
  readonly clock: Clock;
  readonly afterSeconds: () => number;
  /** True while there is work, and when there was any since the last look. */
  readonly isBusy: () => boolean;
  /** Called once, in the same turn of the event loop in which `isBusy` was false. */
  readonly onIdle: () => void;
}

/** Looks now and then; each look is a few microseconds. */
function watchIdleness({ clock, afterSeconds, isBusy, onIdle }: IdlenessOptions): Disposable {
  let restingSinceMs = clock.monotonicMs();
  let timer: Disposable | null = null;
  const look = (): void => {
    const limitMs = afterSeconds() * 1000;
    if (isBusy()) restingSinceMs = clock.monotonicMs();
    else if (limitMs > 0 && clock.monotonicMs() - restingSinceMs >= limitMs) {
      onIdle();
      return;
    }
    timer = clock.after(limitMs === 0 ? RESTING_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, limitMs / 10), look);
  };
  look();
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
