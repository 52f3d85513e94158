/**
 * Moving everything from the storage drivers that were in use to another one, without pulling anything again.
 *
 *   source   a driver that has layers or containers and is not the target; there may be several
 *   move     a layer is unpacked from its kept blob (or copied, where the blob is gone); a container's changes are packed as a
 *            layer tar, unpacked on the same layers at the target, and packed again there: both tars must be the same
 *
 * Story: `moored migrate-storage --to btrfs` beside a daemon that does not run. Killed in the middle, it is run again and goes
 * on: what is at the target stays, and a container belongs to its old driver until its row says otherwise. What failed is
 * told and stays where it is. The old data stays, too, until `--remove-old`.
 */
export interface MigrationStep {
  readonly kind: 'layer' | 'container' | 'old-data';
  /** Chain id, container name, or driver. */
  readonly subject: string;
  readonly outcome: 'moved' | 'failed' | 'removed' | 'kept';
  /** How, or why not. */
  readonly detail: string;
}

export interface MigrationReport {
  readonly layers: number;
  readonly containers: number;
  readonly failures: number;
}

export interface MigrationOptions {
  /** Delete what the sources still have when nothing of theirs is needed any more. */
  readonly removeOld: boolean;
  /** Begin even when there seems to be too little room. */
  readonly force: boolean;
  readonly signal: AbortSignal;
  readonly onStep?: (step: MigrationStep) => void;
}

export interface StoreMigration {
  /** ConflictError while containers run or are mounted, and when there is too little room. What fails for one layer or container is a step, not an error. */
  run(options: MigrationOptions): Promise<MigrationReport>;
}

/** A driver that has something to be moved. */
export interface MigrationSource {
  readonly driver: string;
  /** 0 where it does not open. */
  readonly layers: number;
  readonly containers: number;
}

/** What a migration would do now. */
export interface MigrationPlan {
  /** None: everything is with the target. */
  readonly sources: readonly MigrationSource[];
  readonly neededBytes: number;
  /** Null where only the open driver could tell (a thin pool). */
  readonly freeBytes: number | null;
  /** What is in its way, in words; beside that the engine itself runs. */
  readonly obstacles: readonly string[];
}

/** The facade's verb: a migration is for an engine that does not run, and what there is to know before is for one that does. */
export interface MigrationPlans {
  /** Changes nothing. InvalidArgumentError for what is no storage driver. */
  plan(target: string): Promise<MigrationPlan>;
}
