/** What is stored of a schedule; times are nanoseconds as text, since JSON has no such numbers. */
import type { Timestamp } from '../../base/clock.ts';
import type { RunResult, ScheduleDefinition, ScheduleRun } from './types.ts';

/** How far a schedule has come. */
export interface ScheduleState {
  /** Times due until then were handled: run, left out, or before the schedule was there. */
  readonly handledUntilMs: number;
  /** Expression and zone that this was counted by: with others the count begins anew. */
  readonly countedBy: string;
  /** Begin of the run under way; one that is found at the start of the engine was interrupted. */
  readonly runningSince: Timestamp | null;
  readonly lastRun: ScheduleRun | null;
}

interface StoredState {
  readonly handledUntilMs: number;
  readonly countedBy: string;
  readonly runningSince: string | null;
  readonly lastRun: {
    readonly startedAt: string;
    readonly endedAt: string;
    readonly result: RunResult;
    readonly message: string;
    readonly reclaimedBytes: number;
  } | null;
}

export function encodeState({ runningSince, lastRun, ...rest }: ScheduleState): string {
  const stored: StoredState = {
    ...rest,
    runningSince: runningSince === null ? null : String(runningSince),
    lastRun:
      lastRun === null ? null : { ...lastRun, startedAt: String(lastRun.startedAt), endedAt: String(lastRun.endedAt) },
  };
  return JSON.stringify(stored);
}

export function decodeState(text: string): ScheduleState {
  const { runningSince, lastRun, ...rest } = JSON.parse(text) as StoredState;
  const timeOf = (digits: string): Timestamp => BigInt(digits) as Timestamp;
  return {
    ...rest,
    runningSince: runningSince === null ? null : timeOf(runningSince),
    lastRun:
      lastRun === null ? null : { ...lastRun, startedAt: timeOf(lastRun.startedAt), endedAt: timeOf(lastRun.endedAt) },
  };
}

export function encodeDefinition(definition: ScheduleDefinition): string {
  return JSON.stringify(definition);
}

export function decodeDefinition(text: string): ScheduleDefinition {
  return JSON.parse(text) as ScheduleDefinition;
}
