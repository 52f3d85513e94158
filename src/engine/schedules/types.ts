/**
 * Schedules: what the engine does by the clock.
 *
 *   schedule   a name, a cron expression in a time zone, an operation, and rules for what goes wrong with time.
 *   origin     who made it: the configuration, a label on a container, or a call over D-Bus. Only the last can be changed
 *              or removed through here; the others follow what they come from.
 *   run        one time that the operation is done. The first time that was due and not handled yet is the *due* time.
 *
 * Rules (docs/schedules.md says them to users):
 *   missed     the engine was down, or the clock jumped over the due time: `run-once` does it once now, however many times
 *              were missed; `skip` waits for the next.
 *   overlap    the run before is still under way: `skip` leaves this one out, `queue` does it once when that has ended,
 *              `replace` ends that one first.
 *   at most once: a due time is written down as handled before its run begins, so that a killed engine does not repeat it.
 *   clock set back: no due time is handled twice; the engine waits until the clock has passed the last one.
 *   summer time: times of day that do not exist are run when the gap ends, times that come twice are run the first time.
 *              Expressions for every hour follow the elapsed time and know no summer time.
 *
 * Story: `docker run -d --label moored.schedule='0 3 * * *' backup`: the container's event makes schedule
 * `container-<name>`; at three the container is started again; its exit code is the run's result.
 */
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { PruneRequest } from '../prune/types.ts';

export type ScheduleOrigin = 'sysconfig' | 'daemon.json' | 'dbus' | 'label';
export type MissedRule = 'skip' | 'run-once';
export type OverlapRule = 'skip' | 'queue' | 'replace';

/** What a schedule does. Plain data: it is stored. */
export type ScheduleOperation =
  | { readonly kind: 'prune'; readonly request: PruneRequest; readonly dryRun: boolean }
  /** Starts a container that exists; the run lasts until it has ended. */
  | { readonly kind: 'run-container'; readonly container: string }
  | { readonly kind: 'restart-container'; readonly container: string }
  /** The collection of images, by the rules of the configuration. */
  | { readonly kind: 'image-gc'; readonly dryRun: boolean }
  | { readonly kind: 'pull'; readonly reference: string };

/** When, and by which rules. */
export interface ScheduleTiming {
  /** Five fields, six with seconds in front, or `@daily` and its like. */
  readonly cron: string;
  /** `Europe/Berlin`; '' for the host's. */
  readonly timeZone: string;
  readonly missed: MissedRule;
  readonly overlap: OverlapRule;
  /** Each run is put off by a random time up to this. */
  readonly randomDelaySeconds: number;
  readonly enabled: boolean;
}

export interface ScheduleDefinition extends ScheduleTiming {
  readonly name: string;
  readonly operation: ScheduleOperation;
}

/** `interrupted`: the engine ended during the run; what became of it is not known. */
export type RunResult = 'done' | 'failed' | 'canceled' | 'interrupted';

export interface ScheduleRun {
  readonly startedAt: Timestamp;
  readonly endedAt: Timestamp;
  readonly result: RunResult;
  /** Why it failed; for a dry run what would have gone; '' else. */
  readonly message: string;
  /** Bytes that came free, or would have; 0 for what frees nothing. */
  readonly reclaimedBytes: number;
}

export interface ScheduleView extends ScheduleDefinition {
  readonly origin: ScheduleOrigin;
  /** Why it never runs (an expression that is none, an unknown time zone); null when it does. */
  readonly problem: string | null;
  /** With this run's random delay. Null when it is disabled, has a problem, or never comes. */
  readonly nextRun: Timestamp | null;
  readonly isRunning: boolean;
  readonly lastRun: ScheduleRun | null;
  /** Of a schedule made by a label. */
  readonly containerId: ContainerId | null;
}

export interface ScheduleEvent {
  readonly kind: 'added' | 'changed' | 'removed';
  readonly name: string;
}

/** What a run tells while it goes on. */
export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (phase: string) => void;
}

/** The facade's verbs. */
export interface Schedules {
  /** By name. */
  list(): readonly ScheduleView[];
  /** NotFoundError `No such schedule: x`. */
  get(name: string): ScheduleView;
  /** Makes one of origin `dbus`. InvalidArgumentError for what is no schedule; ConflictError when the name is taken. */
  add(definition: ScheduleDefinition): Promise<ScheduleView>;
  /** Changes what is given; ConflictError for one that is not ours to change. */
  modify(name: string, change: Partial<ScheduleTiming>): Promise<ScheduleView>;
  /** Ends a run under way, too. ConflictError for one that is not ours to remove. */
  remove(name: string): Promise<void>;
  /** Runs now, whatever the clock says, and settles at the end. ConflictError while it runs. Failures are in the result. */
  runNow(name: string, options?: RunOptions): Promise<ScheduleRun>;
  /** Called synchronously after each change. Dispose to stop. */
  listen(listener: (event: ScheduleEvent) => void): Disposable;
}
