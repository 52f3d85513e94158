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
 * Story 2, a layer that a worker makes: `await using draft = await store.draft()`; the worker writes `draft.path` and says
 * digest and size; `draft.publish(…)`. Without it, disposal deletes the file.
 *
 * Story 3, a made config: `store.put(bytes)` returns its digest; putting the same bytes again is harmless. Many at once:
 * `store.putAll([…])`.
 */
import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
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
  /**
   * As {@link ContentStore.put} for several, with one wait for the disk. With `isLasting` false there is none: what comes so
   * is good until the host crashes; a lasting put of the same bytes makes up for it.
   */
  putAll(all: readonly Uint8Array[], options: { readonly isLasting: boolean }): Promise<void>;
  /** Makes blobs outlast a crash of the host that were published without. Those that are lasting cost next to nothing. */
  sync(digests: readonly Digest[]): Promise<void>;
  /** Opens (or resumes) the ingest `ref`. ConflictError when somebody else holds it. */
  ingest(ref: string): Promise<Ingest>;
  /** A new empty file for somebody who writes it by its path (a worker). */
  draft(): Promise<Draft>;
  /** The file a blob lies in, for workers that read it themselves. NotFoundError when there is none. */
  pathOf(digest: Digest): Promise<string>;
  /** Deletes a blob; false when there was none. */
  remove(digest: Digest): Promise<boolean>;
  /** All committed blobs, in no order. */
  walk(): AsyncIterable<BlobInfo>;
  /** Reads a blob from end to end and says what it really is; null when there is none. The loop stays free meanwhile. */
  examine(digest: Digest, signal?: AbortSignal): Promise<BlobInfo | null>;
  /** Everything uncommitted, in no order. */
  unfinished(): Promise<readonly UnfinishedInfo[]>;
  /** Deletes what an ingest of `ref` left, since nobody needs the blob from there any more; false when it is held or not there. */
  abandon(ref: string): Promise<boolean>;
  /** Deletes something uncommitted by its name; false when it is held or has gone. */
  dropUnfinished(name: string): Promise<boolean>;
}

/** Bytes that are no blob yet. */
export interface UnfinishedInfo {
  readonly name: string;
  readonly sizeBytes: number;
  /** When bytes last came. */
  readonly writtenAt: Timestamp;
  /** Somebody in this process is at it. */
  readonly isHeld: boolean;
  /** Its writer can find it again: a download. Anything else is worthless once nobody holds it. */
  readonly isResumable: boolean;
}

/** Bytes on their way. Disposing without commit keeps them for a later resume. */
export interface Ingest extends AsyncDisposable {
  /** How many bytes are already there. */
  readonly offset: number;
  /**
   * Appends; the chunk is the caller's again when this settles. UnavailableError in Docker's words when the disk is full,
   * at the latest from {@link Ingest.commit}.
   */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Verifies and publishes. DataLossError when digest or size differ (the bytes are then dropped). Without `digest`
   * whatever was written is published under its own. Committing bytes that exist already is success.
   */
  commit(expected?: { readonly digest?: Digest; readonly sizeBytes?: number }): Promise<BlobInfo>;
  /** Drops the bytes; the next ingest of the ref starts at 0. */
  discard(): Promise<void>;
}

/** A file that a worker writes and that becomes a blob. Disposing without {@link Draft.publish} deletes it. */
export interface Draft extends AsyncDisposable {
  readonly path: string;
  /**
   * Makes the file a blob by what its writer says of it: the digest is believed, the size checked (DataLossError), the
   * file synced unless `isLasting` is false (see {@link ContentStore.sync}). Publishing bytes that exist already is success.
   */
  publish(written: BlobInfo, options?: { readonly isLasting: boolean }): Promise<void>;
}
