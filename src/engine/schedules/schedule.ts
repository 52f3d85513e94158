import type { Clock, Timestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { CronPattern } from './cron.ts';
import { nextTime, type TimeZone } from './next-time.ts';
import type { ScheduleState } from './record.ts';
import type { ScheduleDefinition, ScheduleOrigin, ScheduleView } from './types.ts';

/** Where a schedule comes from. */
export interface ScheduleSource {
  /** Its row: `prune`, `container:<id>`, `dbus:<name>`. */
  readonly key: string;
  readonly origin: ScheduleOrigin;
  readonly containerId: ContainerId | null;
  /** What its source got wrong beside the expression; null when nothing. */
  readonly problem: string | null;
}

/** Reads expression and zone; throws what is wrong with them. */
export type ReadTiming = (timing: Pick<ScheduleDefinition, 'cron' | 'timeZone'>) => {
  readonly pattern: CronPattern;
  readonly zone: TimeZone;
};

/** A run under way. */
export interface RunUnderWay {
  readonly abort: AbortController;
  /** Settles when it is over, never rejects. */
  readonly ended: Promise<unknown>;
}

const MS_NS = 1_000_000n;

/** One schedule: its definition, how far it has come, and when it is due. Effects are the room's. */
export class Schedule {
  readonly source: ScheduleSource;
  state: ScheduleState;
  run: RunUnderWay | null = null;
  /** A run was due meanwhile, and the overlap rule is `queue`. */
  isQueued = false;
  /** Due time without and with the random delay. */
  dueMs: number | null = null;
  fireMs: number | null = null;
  #definition: ScheduleDefinition;
  #problem: string | null = null;
  #when: ReturnType<ReadTiming> | null = null;
  /** What `dueMs` was worked out after; null when it was not, for this definition. */
  #plannedAfterMs: number | null = null;

  constructor(source: ScheduleSource, definition: ScheduleDefinition, state: ScheduleState | null, clock: Clock) {
    this.source = source;
    this.#definition = definition;
    this.state = state ?? {
      handledUntilMs: millisecondsOf(clock.now()),
      countedBy: countedBy(definition),
      runningSince: null,
      lastRun: null,
    };
  }

  get name(): string {
    return this.#definition.name;
  }

  get definition(): ScheduleDefinition {
    return this.#definition;
  }

  get problem(): string | null {
    return this.#problem;
  }

  /**
   * Takes a definition on; with another expression or zone, or enabled again, what was due before is over. When it is due
   * next is for {@link plan}.
   */
  define(definition: ScheduleDefinition, read: ReadTiming, clock: Clock): void {
    const isRestarted = definition.enabled && !this.#definition.enabled;
    this.#definition = definition;
    this.#problem = this.source.problem;
    this.#when = null;
    this.#plannedAfterMs = null;
    try {
      this.#when = read(definition);
    } catch (error) {
      this.#problem = messageOf(error);
    }
    if (isRestarted || this.state.countedBy !== countedBy(definition)) {
      const handledUntilMs = millisecondsOf(clock.now());
      this.state = { ...this.state, handledUntilMs, countedBy: countedBy(definition) };
    }
  }

  /** Works out when it is due next, unless that is known. `random` gives 0 to 1. */
  plan(random: () => number): void {
    const { handledUntilMs } = this.state;
    if (handledUntilMs === this.#plannedAfterMs) return;
    this.#plannedAfterMs = handledUntilMs;
    const { enabled, randomDelaySeconds } = this.#definition;
    const when = enabled && this.#problem === null ? this.#when : null;
    this.dueMs = when === null ? null : nextTime(when.pattern, when.zone, handledUntilMs);
    this.fireMs = this.dueMs === null ? null : this.dueMs + Math.round(random() * randomDelaySeconds * 1000);
  }

  view(): ScheduleView {
    const { origin, containerId } = this.source;
    return {
      ...this.#definition,
      origin,
      containerId,
      problem: this.#problem,
      nextRun: this.fireMs === null ? null : ((BigInt(this.fireMs) * MS_NS) as Timestamp),
      isRunning: this.run !== null,
      lastRun: this.state.lastRun,
    };
  }
}

export function millisecondsOf(time: Timestamp): number {
  return Number(time / MS_NS);
}

function countedBy({ cron, timeZone }: ScheduleDefinition): string {
  return `${cron} ${timeZone}`;
}
