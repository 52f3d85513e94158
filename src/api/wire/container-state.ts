/** Docker's overlapping booleans and words for the closed state of a container. */
import { formatTimestamp, ZERO_TIME_TEXT, type Timestamp } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import type { ContainerState, ContainerView, HealthView, LastExit } from '../../engine/index.ts';
import { humanSince } from './duration.ts';

/** `State` of inspect. */
export interface StateDocument {
  readonly Status: string;
  readonly Running: boolean;
  readonly Paused: boolean;
  readonly Restarting: boolean;
  readonly OOMKilled: boolean;
  readonly Dead: boolean;
  readonly Pid: number;
  readonly ExitCode: number;
  readonly Error: string;
  readonly StartedAt: string;
  readonly FinishedAt: string;
  /** Absent where nothing is checked. */
  readonly Health?: JsonObject;
}

export function stateDocument({ state, health }: Pick<ContainerView, 'state' | 'health'>): StateDocument {
  const isLive = state.status === 'running' || state.status === 'paused';
  const last = lastExitOf(state);
  return {
    Status: state.status,
    // Docker's `Running` stays true while paused and while it waits for its next start.
    Running: isLive || state.status === 'restarting',
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: !isLive && (last?.oomKilled ?? false),
    Dead: state.status === 'dead',
    Pid: isLive ? state.pid : 0,
    ExitCode: exitCodeOf(state),
    Error: 'error' in state ? state.error : isLive ? '' : (last?.error ?? ''),
    StartedAt: timeText(startedAtOf(state)),
    FinishedAt: timeText(last?.finishedAt ?? null),
    ...(health === null ? {} : { Health: healthDocument(health) }),
  };
}

function healthDocument({ status, failingStreak, log }: HealthView): JsonObject {
  return {
    Status: status,
    FailingStreak: failingStreak,
    Log: log.map(({ startedAt, endedAt, exitCode, output }) => {
      return { Start: formatTimestamp(startedAt), End: formatTimestamp(endedAt), ExitCode: exitCode, Output: output };
    }),
  };
}

/** `Status` of list: `Up 5 minutes`, `Exited (0) 3 seconds ago` … */
export function statusText({ state, health }: Pick<ContainerView, 'state' | 'health'>, now: Timestamp): string {
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'running':
      return `Up ${humanSince(state.startedAt, now)}${health === null ? '' : ` (${healthText(health)})`}`;
    case 'paused':
      return `Up ${humanSince(state.startedAt, now)} (Paused)`;
    case 'restarting':
      return `Restarting (${String(state.lastExit.exitCode)}) ${humanSince(state.lastExit.finishedAt, now)} ago`;
    case 'exited':
      return `Exited (${String(state.lastExit.exitCode)}) ${humanSince(state.lastExit.finishedAt, now)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}

function healthText({ status }: HealthView): string {
  return status === 'starting' ? 'health: starting' : status;
}

export function restartCountOf(state: ContainerState): number {
  return state.status === 'created' ? 0 : state.restartCount;
}

/** What `exited=N` looks at. */
export function exitCodeOf(state: ContainerState): number {
  if (state.status === 'created') return state.exitCode;
  if (state.status === 'running' || state.status === 'paused') return 0;
  return state.lastExit?.exitCode ?? 0;
}

/** It has a process now. */
export function isLive({ state }: ContainerView): boolean {
  return state.status === 'running' || state.status === 'paused';
}

/** It has run, or runs. */
export function startedAtOf(state: ContainerState): Timestamp | null {
  if (state.status === 'running' || state.status === 'paused') return state.startedAt;
  return lastExitOf(state)?.startedAt ?? null;
}

function lastExitOf(state: ContainerState): LastExit | null {
  return state.status === 'created' ? null : state.lastExit;
}

function timeText(time: Timestamp | null): string {
  return time === null ? ZERO_TIME_TEXT : formatTimestamp(time);
}
