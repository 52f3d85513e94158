/**
 * COPY and ADD: from trees, texts and addresses to a layer. No container is made; workers read and write by descriptors
 * below their roots.
 *
 * Story: `prepare` finds what the words mean and what it holds (the cache asks for its digest); where the cache has
 * nothing, `apply` writes it onto a parent and makes a layer of it.
 */
import type { ChainId } from '../../oci/digest.ts';
import type { CopyWords } from '../../dockerfile/types.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import type { BuildSink } from '../types.ts';

/** A tree to copy from. */
export type SourceTree =
  /** A directory of the engine's (the context). */
  | { readonly kind: 'directory'; readonly path: string }
  /** Root of a stage or image: the top of its layers; null: an empty one. */
  | { readonly kind: 'layers'; readonly top: ChainId | null };

export interface CopyRequest {
  readonly verb: 'copy' | 'add';
  readonly words: CopyWords;
  readonly from: SourceTree;
  /** `WORKDIR` of the stage. */
  readonly workingDirectory: string;
  /** Times of files become at most this; seconds since 1970, null: as they are. */
  readonly sourceDateEpoch: number | null;
  readonly sink: BuildSink;
  readonly signal: AbortSignal;
}

/** What is to be copied, found and held. Dispose when the step has ended. */
export interface PreparedCopy extends AsyncDisposable {
  /** Of names, attributes and bytes, as they will be in the layer; the same for the same on every machine. */
  readonly digest: string;
  /** `file:<hex>`, `dir:<hex>`, `multi:<hex>`: as Docker's history has it. */
  readonly label: string;
  /**
   * Writes it onto a parent, whose user and group names count for `--chown`. The blob is stored and pinned by the caller's
   * `draftPath`; null: nothing has changed.
   */
  apply(options: {
    readonly parent: ChainId | null;
    readonly draftPath: string;
    readonly signal: AbortSignal;
  }): Promise<CapturedLayer | null>;
}

export interface Copies {
  /** InvalidArgumentError in Docker's words for a source that is not there, or leads out of its tree. */
  prepare(request: CopyRequest): Promise<PreparedCopy>;
  /** Makes a directory as WORKDIR does: a layer, or null where it is there. */
  makeDirectory(options: {
    readonly parent: ChainId | null;
    readonly path: string;
    /** `uid[:gid]` or names; '': root. */
    readonly owner: string;
    readonly sourceDateEpoch: number | null;
    readonly draftPath: string;
    readonly signal: AbortSignal;
  }): Promise<CapturedLayer | null>;
}
