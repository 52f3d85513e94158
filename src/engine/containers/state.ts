import type { Timestamp } from '../../base/clock.ts';

/** How the last run of a container ended. */
export interface LastExit {
  readonly exitCode: number;
  readonly startedAt: Timestamp | null;
  readonly finishedAt: Timestamp;
  readonly oomKilled: boolean;
  readonly error: string;
}

/**
 * What a container is. Each state carries only what exists in it: a pid only where there is a process. Docker's
 * overlapping booleans (`Running`, `Paused`, `Restarting`, `Dead`) are a projection made in api/wire.
 */
export type ContainerState =
  | {
      readonly status: 'created';
      /** Why the last start failed, or ''. */ readonly error: string;
      readonly exitCode: number;
    }
  | {
      readonly status: 'running';
      readonly pid: number;
      readonly startedAt: Timestamp;
      readonly restartCount: number;
      readonly lastExit: LastExit | null;
    }
  | {
      readonly status: 'paused';
      readonly pid: number;
      readonly startedAt: Timestamp;
      readonly restartCount: number;
      readonly lastExit: LastExit | null;
    }
  | { readonly status: 'restarting'; readonly restartCount: number; readonly lastExit: LastExit }
  | { readonly status: 'exited'; readonly restartCount: number; readonly lastExit: LastExit }
  | { readonly status: 'removing'; readonly restartCount: number; readonly lastExit: LastExit | null }
  | {
      readonly status: 'dead';
      readonly restartCount: number;
      readonly lastExit: LastExit | null;
      readonly error: string;
    };

/** Whether the user (or a policy) wants it to run; kept beside the observed state. */
export type DesiredState = 'running' | 'stopped';

/** What can happen to a container. Facts, not wishes: each is told after its effect was done (or was seen). */
export type ContainerEvent =
  /** A process runs. */
  | { readonly kind: 'started'; readonly pid: number; readonly at: Timestamp }
  /** A start was tried and undone. */
  | { readonly kind: 'start-failed'; readonly exitCode: number; readonly error: string; readonly at: Timestamp }
  /** The process has ended; `restart` says that the policy will start it again. */
  | {
      readonly kind: 'exited';
      readonly exitCode: number;
      readonly at: Timestamp;
      readonly oomKilled: boolean;
      readonly error: string;
      readonly restart: boolean;
    }
  | { readonly kind: 'paused' }
  | { readonly kind: 'unpaused' }
  /** A pending restart was called off. */
  | { readonly kind: 'restart-cancelled' }
  | { readonly kind: 'removal-started' }
  | { readonly kind: 'removal-failed'; readonly error: string };

/** The state after `event`, or null where that event cannot happen in that state. Pure. */
export function next(state: ContainerState, event: ContainerEvent): ContainerState | null {
  switch (state.status) {
    case 'created':
      return nextOfCreated(event);
    case 'running':
    case 'paused':
      return nextOfLive(state, event);
    case 'restarting':
    case 'exited':
      return nextOfEnded(state, event);
    case 'removing':
      return event.kind === 'removal-failed'
        ? { status: 'dead', restartCount: state.restartCount, lastExit: state.lastExit, error: event.error }
        : null;
    case 'dead':
      return event.kind === 'removal-started'
        ? { status: 'removing', restartCount: state.restartCount, lastExit: state.lastExit }
        : null;
  }
}

/** True where there is a process. */
export function isLive(state: ContainerState): state is Extract<ContainerState, { readonly pid: number }> {
  return state.status === 'running' || state.status === 'paused';
}

/** The exit code that `wait` and inspect tell in this state. */
export function exitCodeOf(state: ContainerState): number {
  return state.status === 'created' ? state.exitCode : (lastExitOf(state)?.exitCode ?? 0);
}

/** How the last run ended, where one has. */
export function lastExitOf(state: ContainerState): LastExit | null {
  return state.status === 'created' ? null : state.lastExit;
}

/** How often the restart policy has started it again since a user did. */
export function restartCountOf(state: ContainerState): number {
  return state.status === 'created' ? 0 : state.restartCount;
}

function nextOfCreated(event: ContainerEvent): ContainerState | null {
  switch (event.kind) {
    case 'started':
      return { status: 'running', pid: event.pid, startedAt: event.at, restartCount: 0, lastExit: null };
    case 'start-failed':
      return { status: 'created', error: event.error, exitCode: event.exitCode };
    case 'removal-started':
      return { status: 'removing', restartCount: 0, lastExit: null };
    case 'exited':
    case 'paused':
    case 'unpaused':
    case 'restart-cancelled':
    case 'removal-failed':
      return null;
  }
}

function nextOfLive(
  state: Extract<ContainerState, { readonly status: 'running' | 'paused' }>,
  event: ContainerEvent,
): ContainerState | null {
  switch (event.kind) {
    case 'paused':
      return state.status === 'running' ? { ...state, status: 'paused' } : null;
    case 'unpaused':
      return state.status === 'paused' ? { ...state, status: 'running' } : null;
    case 'exited': {
      const lastExit: LastExit = {
        exitCode: event.exitCode,
        startedAt: state.startedAt,
        finishedAt: event.at,
        oomKilled: event.oomKilled,
        error: event.error,
      };
      return event.restart
        ? { status: 'restarting', restartCount: state.restartCount + 1, lastExit }
        : { status: 'exited', restartCount: state.restartCount, lastExit };
    }
    case 'started':
    case 'start-failed':
    case 'restart-cancelled':
    case 'removal-started':
    case 'removal-failed':
      return null;
  }
}

function nextOfEnded(
  state: Extract<ContainerState, { readonly status: 'restarting' | 'exited' }>,
  event: ContainerEvent,
): ContainerState | null {
  switch (event.kind) {
    case 'started': {
      // A restart by policy goes on counting, a start by a user begins anew.
      const restartCount = state.status === 'restarting' ? state.restartCount : 0;
      return { status: 'running', pid: event.pid, startedAt: event.at, restartCount, lastExit: state.lastExit };
    }
    case 'start-failed':
      return {
        status: 'exited',
        restartCount: state.restartCount,
        lastExit: {
          ...state.lastExit,
          exitCode: event.exitCode,
          error: event.error,
          finishedAt: event.at,
          oomKilled: false,
        },
      };
    case 'restart-cancelled':
      return state.status === 'restarting' ? { ...state, status: 'exited' } : null;
    case 'removal-started':
      return state.status === 'exited'
        ? { status: 'removing', restartCount: state.restartCount, lastExit: state.lastExit }
        : null;
    case 'exited':
    case 'paused':
    case 'unpaused':
    case 'removal-failed':
      return null;
  }
}
