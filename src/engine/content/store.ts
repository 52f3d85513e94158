/**
 * The content store: blobs by digest, as they came from a registry or an archive (compressed layers, configs, manifests).
 *
 * Vocabulary: a *blob* is immutable bytes named by their sha256; an *ingest* is bytes on their way to become a blob,
 * named by a *ref* its writer chooses, so that the same writer finds it again after a cut link or a killed daemon.
 *
 * Life cycle: ingest → write … → commit → blob → remove. Uncommitted bytes are invisible to stat/open/walk. A commit
 * verifies digest and size before anything becomes visible, and is durable when it returns.
 *
 * Story 1, a layer download: `await using ingest = await store.ingest('layer-' + digest)`; ask the registry for bytes
 * from `ingest.offset`; write them; `commit({ digest, size })`. When the link breaks in between, disposal keeps what is
 * there and the next ingest of that ref resumes.
 *
 * Story 2, a made config: `store.put(bytes)` returns its digest; putting the same bytes again is harmless.
 */
import type { Readable } from 'node:stream';
import type { Digest } from '../oci/digest.ts';

/** A committed blob. */
export interface BlobInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Blobs by digest. */
export interface ContentStore {
  /** Null when there is no such blob. */
  stat(digest: Digest): Promise<BlobInfo | null>;
  /** Streams a blob from `offset` (default 0). NotFoundError when there is none. */
  open(digest: Digest, options?: { readonly offset?: number }): Promise<Readable>;
  /** The whole of a small blob (config, manifest). NotFoundError; DataLossError when it is not what its digest says. */
  read(digest: Digest): Promise<Buffer>;
  /** Stores small bytes; idempotent. */
  put(bytes: Uint8Array): Promise<BlobInfo>;
  /** Opens (or resumes) the ingest `ref`. ConflictError when somebody else holds it. */
  ingest(ref: string): Promise<Ingest>;
  /** The file a blob lies in, for workers that read it themselves. NotFoundError when there is none. */
  pathOf(digest: Digest): Promise<string>;
  /** Deletes a blob; false when there was none. */
  remove(digest: Digest): Promise<boolean>;
  /** All committed blobs, in no order. */
  walk(): AsyncIterable<BlobInfo>;
}

/** Bytes on their way. Disposing without commit keeps them for a later resume. */
export interface Ingest extends AsyncDisposable {
  /** How many bytes are already there. */
  readonly offset: number;
  /** Appends. UnavailableError in Docker's words when the disk is full. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Verifies and publishes. DataLossError when digest or size differ (the bytes are then dropped). Without `digest`
   * whatever was written is published under its own. Committing bytes that exist already is success.
   */
  commit(expected?: { readonly digest?: Digest; readonly sizeBytes?: number }): Promise<BlobInfo>;
  /** Drops the bytes; the next ingest of the ref starts at 0. */
  discard(): Promise<void>;
}
