/** Jobs of gathering.ts; see layers/job.ts. */

/** Unpack a tar that comes into an empty directory. */
export interface ReceiveJob {
  readonly kind: 'receive';
  readonly root: string;
  /** What a shared pipe lies in. */
  readonly input: SharedArrayBuffer;
}

/** Copy a directory of the host into an empty one. */
export interface GatherJob {
  readonly kind: 'gather';
  readonly from: string;
  readonly root: string;
  /** Patterns of what is left out. */
  readonly excludes: readonly string[];
  /** Who must be able to read all of it; null: nobody is asked. */
  readonly reader: number | null;
}

/** Delete what patterns match. */
export interface SiftJob {
  readonly kind: 'sift';
  readonly root: string;
  readonly excludes: readonly string[];
}

export type GatheringJob = ReceiveJob | GatherJob | SiftJob;

export interface GatheringResults {
  readonly receive: null;
  readonly gather: null;
  readonly sift: null;
}
