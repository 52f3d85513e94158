/**
 * From trees to layers: the other direction of {@link LayerStore.unpack}. Everything long happens in layer workers.
 *
 * Story 1, a commit: `await using draft = await content.draft()`; `capture({ snapshot: containerId, parent, blobPath:
 * draft.path, onTaken })` copies what the container changed (the container may go on once that has been done: `onTaken`),
 * packs and compresses the copy into the draft in one pass and makes a layer of it; `draft.publish(captured.blob)`.
 *
 * Story 2, an export: `for await (const chunk of packer.contents(containerId, { signal }))`.
 *
 * *Scaffold*: what the engine itself puts into every root to mount something there; it is no change of the container's.
 */
import type { ChainId, Digest } from '../oci/digest.ts';
import type { SnapshotUsage } from './driver.ts';
import type { UnpackedLayer } from './layers.ts';

/** A compressed layer that was written to the caller's file. */
export interface WrittenBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Absent: a gzip-compressed tar, as all that is written here. */
  readonly mediaType?: string;
}

export interface CaptureRequest {
  /** Key of the active snapshot, which stays as it is. */
  readonly snapshot: string;
  /** What the snapshot stands on. */
  readonly parent: ChainId | null;
  /** An existing empty file: gets the gzip-compressed layer tar. */
  readonly blobPath: string;
  /** Absolute paths that are left out where nothing but the engine's empty file or directory is. */
  readonly scaffold: readonly string[];
  /**
   * Called once, when what the layer will hold has been read: from then on the snapshot may change. Whoever writes to it
   * before makes the layer a mixture of old and new, nothing worse. A rejection ends the capture.
   */
  readonly onTaken?: () => Promise<void>;
  /**
   * Present and true: nobody writes to the snapshot any more, nor mounts it, and nobody needs it afterwards; it may become
   * the layer itself. Its removal stays the caller's.
   */
  readonly isSpent?: boolean;
  /** What was modified later is of this time in the layer; seconds since 1970. Absent or null: times are as they are. */
  readonly latestTime?: number | null;
  readonly signal?: AbortSignal;
}

/** A layer that was made of a snapshot. */
export interface CapturedLayer extends UnpackedLayer {
  readonly blob: WrittenBlob;
}

/** One difference between a snapshot and its parent. */
export interface TreeChange {
  /** Absolute, as seen inside. */
  readonly path: string;
  readonly kind: 'added' | 'modified' | 'deleted';
}

export interface LayerPacker {
  /**
   * Makes a layer of an active snapshot's changes: tar with whiteouts, digests, a committed layer that stands on
   * `parent`; null when nothing has changed. Deterministic for an unchanged tree. NotFoundError; InvalidArgumentError for
   * names that no layer can hold; UnavailableError when the disk is full. Leaves nothing on failure but what it wrote to
   * the caller's file.
   */
  capture(request: CaptureRequest): Promise<CapturedLayer | null>;
  /** What an active snapshot changed, parents before children, by path. NotFoundError. */
  changes(
    snapshot: string,
    options: { readonly scaffold: readonly string[]; readonly signal?: AbortSignal },
  ): Promise<readonly TreeChange[]>;
  /**
   * The whole tree of an active snapshot as a tar: as it is seen mounted, without what is mounted in it. It may change
   * meanwhile. NotFoundError before the first chunk; leaving the loop, or aborting, ends it. `scaffold`: as in
   * {@link CaptureRequest}.
   */
  contents(
    snapshot: string,
    options: { readonly scaffold?: readonly string[]; readonly signal?: AbortSignal },
  ): AsyncGenerator<Buffer, void, void>;
  /**
   * How much a snapshot holds that its parent does not, as Docker counts it (`SizeRw`), but for what lies at the absolute
   * paths of `except`. NotFoundError.
   */
  usage(snapshot: string, except?: readonly string[]): Promise<SnapshotUsage>;
  /** Compresses a plain layer tar into `blobPath` as gzip. */
  compress(request: {
    readonly plainPath: string;
    readonly blobPath: string;
    readonly onProgress?: (readBytes: number) => void;
    readonly signal?: AbortSignal;
  }): Promise<WrittenBlob>;
}
