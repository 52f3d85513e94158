/**
 * Writing layers from files, as COPY and ADD do. Everything long happens in layer workers, by descriptors below the roots
 * that they are given: no link leads out of a source or a destination.
 *
 * Vocabulary: to *survey* is to find what the words of a COPY mean in a tree, and to digest it; to *place* is to write
 * what was found into a snapshot, which then becomes a layer.
 *
 * Story: `survey` gives sources; where the cache knows their digests nothing else happens; else `place` writes them onto a
 * parent and gives the layer. A stage's or image's tree is a source between `open` and its disposal.
 */
import type { ChainId } from '../oci/digest.ts';
import type { CapturedLayer } from './packing.ts';

/** Where sources are looked for. */
export interface SurveyRequest {
  readonly verb: 'COPY' | 'ADD';
  /** A directory that nobody writes to; null: an empty tree. */
  readonly root: string | null;
  /** The build's context and what was fetched for it: whose files are is of no meaning, errors speak of `.dockerignore`. */
  readonly isContext: boolean;
  /** As they are written, with wildcards. */
  readonly sources: readonly string[];
  readonly excludes: readonly string[];
  /** Their directories come with them, from `/./` on. */
  readonly parents: boolean;
  /** Archives are found, to be unpacked. */
  readonly findsArchives: boolean;
}

/** A source that is there. */
export interface FoundSource {
  /** A directory stands for what is in it. */
  readonly kind: 'file' | 'directory' | 'archive';
  readonly root: string;
  /** Below the root, all links resolved, bytes as latin1; '' is the root. */
  readonly path: string;
  /** What a file is called in a destination that is a directory; bytes as latin1. */
  readonly name: string;
  /** Of a directory with `parents`: what of it is meant; null: all. */
  readonly includes: readonly string[] | null;
  /** Of a file that may hold an archive, which a program of the host must decompress to tell; null for all else. */
  readonly packedBy: 'bzip2' | 'xz' | null;
  /** SHA-256 over names, attributes (no times) and bytes, in hex. */
  readonly digest: string;
}

/** A file that stands in the Dockerfile. */
export interface TextSource {
  readonly kind: 'text';
  readonly name: string;
  readonly content: string;
}

export interface PlaceRequest {
  /** What the layer stands on. */
  readonly parent: ChainId | null;
  /** The layer does not depend on what is below it: nothing of the parent is seen, but for names of owners. */
  readonly isIndependent: boolean;
  readonly sources: readonly (FoundSource | TextSource)[];
  /** Absolute; ending in a slash it is a directory. */
  readonly destination: string;
  readonly excludes: readonly string[];
  /** Whose everything becomes, `uid[:gid]` or names of the parent's; null: root's. */
  readonly owner: string | null;
  /** All stay whose they are; only without `owner`. */
  readonly keepsOwners: boolean;
  /** As chmod(1) takes it; null: as they are. */
  readonly mode: string | null;
  /** Latest time that a file may have, seconds since 1970; null: as they are. */
  readonly latestTime: number | null;
  /** An existing empty file: gets the compressed layer. */
  readonly blobPath: string;
  readonly signal: AbortSignal;
}

export interface DirectoryRequest extends Pick<
  PlaceRequest,
  'parent' | 'owner' | 'latestTime' | 'blobPath' | 'signal'
> {
  /** Absolute. */
  readonly path: string;
}

/** Layers that are to become one. */
export interface MergeRequest extends Pick<PlaceRequest, 'parent' | 'latestTime' | 'blobPath' | 'signal'> {
  /** Blobs of the layers that stand on the parent, lowest first. */
  readonly blobPaths: readonly string[];
}

/** The tree of a layer with those below it, to be read. */
export interface OpenTree extends AsyncDisposable {
  readonly root: string;
}

export interface TreeBuilder {
  /** Makes a layer's tree reachable until disposed. NotFoundError. */
  open(top: ChainId): Promise<OpenTree>;
  /**
   * What was found for each source; none for a pattern that matches nothing. InvalidArgumentError in Docker's words for a
   * source that is not there, or leads out.
   */
  survey(request: SurveyRequest, signal: AbortSignal): Promise<readonly (readonly FoundSource[])[]>;
  /**
   * Makes a layer; null when nothing has changed. InvalidArgumentError in Docker's words for what cannot be put there;
   * UnavailableError when the disk is full. Leaves nothing on failure but what it wrote to the blob.
   */
  place(request: PlaceRequest): Promise<CapturedLayer | null>;
  /** Makes a directory with those above it; null where it is there. Errors as `place`. */
  makeDirectory(request: DirectoryRequest): Promise<CapturedLayer | null>;
  /** Makes one layer that does to the parent what these do; null when that is nothing. Errors as `place`. */
  merge(request: MergeRequest): Promise<CapturedLayer | null>;
}
