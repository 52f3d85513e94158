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
  | { readonly status: 'created'; /** Why the last start failed, or ''. */ readonly error: string; readonly exitCode: number }
  | { readonly status: 'running'; readonly pid: number; readonly startedAt: Timestamp; readonly restartCount: number; readonly lastExit: LastExit | null }
  | { readonly status: 'paused'; readonly pid: number; readonly startedAt: Timestamp; readonly restartCount: number; readonly lastExit: LastExit | null }
  | { readonly status: 'restarting'; readonly restartCount: number; readonly lastExit: LastExit }
  | { readonly status: 'exited'; readonly restartCount: number; readonly lastExit: LastExit }
  | { readonly status: 'removing'; readonly restartCount: number; readonly lastExit: LastExit | null }
  | { readonly status: 'dead'; readonly restartCount: number; readonly lastExit: LastExit | null; readonly error: string };

export type ContainerStatus = ContainerState['status'];

/** Whether the user (or a policy) wants it to run; kept beside the observed state. */
export type DesiredState = 'running' | 'stopped';
