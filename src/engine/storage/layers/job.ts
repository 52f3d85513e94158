/**
 * What the main thread and a layer worker say to each other. Everything here survives structured cloning.
 *
 * ```
 * main → worker   { id, job, cancelled }         cancelled: one shared word, 0 until the job is to stop
 * worker → main   { id, readBytes }              progress
 * worker → main   { id, outcome }                exactly once a job
 * ```
 */
import type { ErrorKind } from '../../../base/errors.ts';

/** Unpack one layer. */
export interface UnpackJob {
  readonly kind: 'unpack';
  readonly blobPath: string;
  /** The directory that becomes the layer. */
  readonly root: string;
  /**
   * `overlay`: root holds this layer alone, deletions are written as whiteouts. `tree`: root is the whole tree, whiteouts
   * delete in it. `plain`: no layer at all, and a name that looks like a whiteout is a name.
   */
  readonly form: 'overlay' | 'tree' | 'plain';
}

/** Copy a whole tree with everything that a file has. */
export interface CopyJob {
  readonly kind: 'copy';
  readonly from: string;
  /** An empty directory. */
  readonly to: string;
}

export type LayerJob = UnpackJob | CopyJob;

/** What an unpack found. */
export interface UnpackResult {
  /** Digest of the uncompressed tar. */
  readonly diffId: string;
  readonly sizeBytes: number;
  /** What was left out, for the log. */
  readonly warnings: readonly string[];
}

/** How a job ended. */
export type Outcome =
  | { readonly kind: 'done'; readonly result: UnpackResult | null }
  /** A hard link into a parent layer: the layer must be unpacked again with its parents mounted. */
  | { readonly kind: 'needs-parents' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly error: ErrorKind; readonly message: string };

export interface JobMessage {
  readonly id: number;
  readonly job: LayerJob;
  readonly cancelled: SharedArrayBuffer;
}

export type WorkerMessage =
  { readonly id: number; readonly readBytes: number } | { readonly id: number; readonly outcome: Outcome };
