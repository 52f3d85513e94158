/**
 * What the main thread and a layer worker say to each other. Everything here survives structured cloning.
 *
 * ```
 * main → worker   { id, job, cancelled }         cancelled: one shared word, 0 until the job is to stop
 * worker → main   { id, readBytes }              progress
 * worker → main   { id, chunk }                  a piece of what a stream job makes
 * worker → main   { id, outcome }                exactly once a job
 * ```
 */
import type { ErrorKind } from '../../../base/errors.ts';
import type { ViewPlan } from '../../kernel/tree-views.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { DirectoryRequest, FoundSource, PlaceRequest, SurveyRequest } from '../building.ts';
import type { PathStat, WriteOptions } from '../copying.ts';
import type { SnapshotUsage } from '../driver.ts';
import type { MeasureSource } from '../measuring.ts';
import type { PackedSocket } from '../moving.ts';
import type { GatheringJob, GatheringResults } from './gather/jobs.ts';

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

/** Delete a whole tree. */
export interface DeleteJob {
  readonly kind: 'delete';
  readonly root: string;
}

/** Copy what a writable directory of overlayfs holds into one that becomes a layer. */
export interface TakeJob {
  readonly kind: 'take';
  readonly from: string;
  /** An empty directory. */
  readonly to: string;
  /** The parents' own directories, nearest first. */
  readonly parents: readonly string[];
  /** Paths that the engine itself makes to mount something there; see {@link Scaffold}. */
  readonly scaffold: readonly string[];
}

/** A writable tree and what it stands on. */
export interface DifferenceSource {
  /** `overlay`: root holds the changes alone. `tree`: root is the whole tree, what it lacks of its parents is gone. */
  readonly form: 'overlay' | 'tree';
  readonly root: string;
  /** Nearest first; for `tree` at most one, which is a whole tree too. */
  readonly parents: readonly string[];
  readonly scaffold: readonly string[];
}

/** Find out what a tree has changed. */
export interface CompareJob {
  readonly kind: 'compare';
  readonly source: DifferenceSource;
}

/** Compare a layer with the same one unpacked again, also what no time of modification tells. */
export interface MatchJob {
  readonly kind: 'match';
  readonly expected: string;
  readonly actual: string;
}

/** Find out how much trees hold. */
export interface MeasureJob {
  readonly kind: 'measure';
  readonly sources: readonly MeasureSource[];
}

/** Make a compressed layer of a tree. */
export interface PackJob {
  readonly kind: 'pack';
  /** A layer's own directory in overlayfs's form, or a tree to be compared with its parent. */
  readonly source: { readonly form: 'layer'; readonly root: string } | DifferenceSource;
  /** An existing empty file. */
  readonly blobPath: string;
  /** In seconds since 1970; absent or null: times are as they are. */
  readonly latestTime?: number | null;
}

/** Make a compressed layer of what a tree has changed, and of the tree itself what that layer is, unpacked. */
export interface SpendJob {
  readonly kind: 'spend';
  /** Nobody else reads or writes it. */
  readonly source: DifferenceSource;
  /** An existing empty file. */
  readonly blobPath: string;
  /** In seconds since 1970; null: times are as they are. */
  readonly latestTime: number | null;
}

/** Put sockets into a tree that was unpacked; directories keep their times. */
export interface MakeSocketsJob {
  readonly kind: 'make-sockets';
  readonly root: string;
  readonly sockets: readonly PackedSocket[];
}

/** Compress a plain blob as gzip. */
export interface CompressJob {
  readonly kind: 'compress';
  readonly plainPath: string;
  /** An existing empty file. */
  readonly blobPath: string;
}

/** Of the compressed bytes. */
export interface CompressResult {
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Send a whole tree as a tar, chunk by chunk. */
export interface StreamJob {
  readonly kind: 'stream';
  /** A writable directory over its parents, or a whole tree without. */
  readonly root: string;
  readonly parents: readonly string[];
  readonly scaffold: readonly string[];
  /** One word: chunks that were sent and not yet taken. The worker waits while there are many. */
  readonly waiting: SharedArrayBuffer;
}

/** A path in a view: see copying.ts. */
interface ViewJob {
  readonly plan: ViewPlan;
  /** As the client gave it. */
  readonly path: string;
  /** Ids as they are inside; null where they are the host's. */
  readonly ids: IdMapping | null;
}

/** Tell what is at a path of a view. */
export interface LookJob extends ViewJob {
  readonly kind: 'look';
}

/** Send what is at a path of a view as a tar; the first chunk is a {@link PathStat} in JSON. */
export interface ReadJob extends ViewJob {
  readonly kind: 'read';
  readonly waiting: SharedArrayBuffer;
}

/** Unpack a tar into a directory of a view. */
export interface WriteJob extends ViewJob {
  readonly kind: 'write';
  readonly options: WriteOptions;
  /** What a {@link SharedPipe} lies in. */
  readonly input: SharedArrayBuffer;
}

/** Find what a COPY is about. */
export interface SurveyJob {
  readonly kind: 'survey';
  readonly request: SurveyRequest;
}

/** Write what a COPY is about into a tree. */
export interface PlaceJob {
  readonly kind: 'place';
  readonly request: Omit<PlaceRequest, 'parent' | 'isIndependent' | 'blobPath' | 'signal'>;
  /** A tree that nobody else uses. */
  readonly root: string;
  /** Where names of owners are looked up, if not in it. */
  readonly namesRoot: string | null;
}

/** Make a directory of a WORKDIR. */
export interface MakeDirectoryJob extends Pick<DirectoryRequest, 'path' | 'owner' | 'latestTime'> {
  readonly kind: 'make-directory';
  readonly root: string;
}

export type LayerJob =
  | UnpackJob
  | CopyJob
  | DeleteJob
  | TakeJob
  | CompareJob
  | MatchJob
  | MeasureJob
  | PackJob
  | SpendJob
  | MakeSocketsJob
  | CompressJob
  | StreamJob
  | LookJob
  | ReadJob
  | WriteJob
  | SurveyJob
  | PlaceJob
  | MakeDirectoryJob
  | GatheringJob;

/** One difference; `path` is a byte string without a leading slash (see tar-entry.ts). */
export interface Difference {
  readonly path: string;
  readonly kind: 'added' | 'modified' | 'deleted';
}

/** A layer that was packed. */
export interface PackResult {
  /** Digest of the tar. */
  readonly diffId: string;
  /** How many members the tar has. */
  readonly members: number;
  /** As Docker counts a layer's size. */
  readonly sizeBytes: number;
  readonly blob: CompressResult;
  /** Found among the changes, and left out. */
  readonly sockets: readonly PackedSocket[];
}

/** What an unpack found. */
export interface UnpackResult {
  /** Digest of the uncompressed tar. */
  readonly diffId: string;
  readonly sizeBytes: number;
  /** What was left out, for the log. */
  readonly warnings: readonly string[];
}

/** What each kind of job finds or makes. */
export interface JobResults extends GatheringResults {
  readonly unpack: UnpackResult;
  readonly copy: null;
  readonly delete: null;
  readonly take: null;
  readonly compare: readonly Difference[];
  readonly match: readonly string[];
  /** In the order of the sources; what went wrong in words. */
  readonly measure: readonly (SnapshotUsage | string)[];
  readonly pack: PackResult;
  /** Null for a tree that cannot become a layer: nothing was done. */
  readonly spend: PackResult | null;
  readonly 'make-sockets': null;
  readonly stream: null;
  readonly compress: CompressResult;
  readonly look: PathStat | null;
  /** False when there is nothing at the path. */
  readonly read: boolean;
  readonly write: boolean;
  readonly survey: readonly (readonly FoundSource[])[];
  readonly place: null;
  /** False where it is there. */
  readonly 'make-directory': boolean;
}

/** How a job ended. */
export type Outcome<Result = JobResults[LayerJob['kind']]> =
  | { readonly kind: 'done'; readonly result: Result }
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
  | { readonly id: number; readonly readBytes: number }
  | { readonly id: number; readonly chunk: Uint8Array }
  | { readonly id: number; readonly outcome: Outcome };
