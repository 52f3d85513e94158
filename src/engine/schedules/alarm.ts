import type { Clock } from '../../base/clock.ts';
import type { Runner } from './runner.ts';
import { millisecondsOf, type Schedule } from './schedule.ts';

/** The longest sleep: a wall clock that was set is noticed so late at most. */
const MAX_SLEEP_MS = 60_000;
/** A run that comes later than this after its time was missed: the engine was down, or the clock has jumped. */
const LATE_MS = 90_000;

export interface AlarmOptions {
  readonly clock: Clock;
  /** 0 to 1, for random delays. */
  readonly random: () => number;
  readonly schedules: ReadonlyMap<string, Schedule>;
  readonly runner: Pick<Runner, 'due' | 'leaveOut'>;
  /** Writes the schedule's state down and tells of the change. */
  readonly changed: (schedule: Schedule) => void;
}

/** The one timer of all schedules. Without any that is due some time, nothing wakes. */
export class Alarm implements Disposable {
  readonly #options: AlarmOptions;
  #timer: Disposable | null = null;
  #isDisposed = false;

  constructor(options: AlarmOptions) {
    this.#options = options;
  }

  /** Runs what is due, and sleeps until the next is; to be called when schedules came, went or changed. */
  set(): void {
    const { clock, schedules, random } = this.#options;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (this.#isDisposed) return;
    const nowMs = millisecondsOf(clock.now());
    let nextMs = Infinity;
    for (const schedule of [...schedules.values()]) {
      schedule.plan(random);
      const { fireMs } = schedule;
      if (fireMs !== null && fireMs <= nowMs) this.#fire(schedule, fireMs, nowMs);
      nextMs = Math.min(nextMs, schedule.fireMs ?? Infinity);
    }
    if (nextMs === Infinity) return;
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, nextMs - nowMs));
    this.#timer = clock.after(sleepMs, () => this.set());
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #fire(schedule: Schedule, fireMs: number, nowMs: number): void {
    const { random, runner, changed } = this.#options;
    // A late start answers for all times until now, an early one (by its random delay) only for its own.
    schedule.state = { ...schedule.state, handledUntilMs: Math.max(nowMs, schedule.dueMs ?? 0) };
    schedule.plan(random);
    changed(schedule);
    if (nowMs - fireMs > LATE_MS && schedule.definition.missed === 'skip') {
      runner.leaveOut(schedule, `its time was missed (${new Date(fireMs).toISOString()})`);
      return;
    }
    runner.due(schedule);
  }
}
