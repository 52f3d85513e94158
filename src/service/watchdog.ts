/** systemd's watchdog (`WatchdogSec=`), and its patience while a long start-up or shut-down goes on. */
import type { Clock } from '../base/clock.ts';
import type { Notifier } from './notify.ts';

/**
 * Says `WATCHDOG=1` at half the time that WATCHDOG_USEC allows, from the main loop: a loop that hangs says nothing, and
 * systemd restarts the service (containers live on in their own scopes). Takes the variables out of `env`. Does nothing
 * without them, or when they are meant for another process.
 */
export function feedWatchdog(env: NodeJS.ProcessEnv, pid: number, clock: Clock, notifier: Notifier): Disposable {
  const { WATCHDOG_USEC: periodText = '', WATCHDOG_PID: owner } = env;
  for (const name of ['WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(env, name);
  const periodMs = Number(periodText) / 1000;
  if (!notifier.active || !(periodMs > 0) || (owner !== undefined && Number(owner) !== pid)) return NOTHING;
  return repeat(clock, periodMs / 2, () => notifier.watchdog());
}

/** How much time is asked for at once, and how often: two may be lost before systemd's patience ends. */
const EXTENSION_MS = 30_000;
const EXTENSION_PERIOD_MS = 10_000;
/** A start-up or shut-down that takes longer than this has gone wrong, and systemd's own limit may end it. */
const LONGEST_EXTENSION_MS = 3_600_000;

/** Keeps systemd's start or stop time-out from striking while work goes on; dispose when it is done. */
export function extendTimeouts(clock: Clock, notifier: Notifier): Disposable {
  if (!notifier.active) return NOTHING;
  const since = clock.monotonicMs();
  return repeat(clock, EXTENSION_PERIOD_MS, () => {
    if (clock.monotonicMs() - since < LONGEST_EXTENSION_MS) notifier.extendTimeout(EXTENSION_MS);
  });
}

const NOTHING: Disposable = { [Symbol.dispose]: () => undefined };

/** Calls at once and then every `periodMs`. */
function repeat(clock: Clock, periodMs: number, call: () => void): Disposable {
  let timer: Disposable | null = null;
  const turn = (): void => {
    call();
    timer = clock.after(periodMs, turn);
  };
  turn();
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
