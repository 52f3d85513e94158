/**
 * Copying out of a container's tree and into it, as `docker cp` does. Everything happens in workers, each inside a view of
 * its own (see kernel/tree-views.ts), by descriptors and single names: whatever the container renames and links
 * meanwhile, nothing outside its tree is read or written.
 *
 * Story 1, `docker cp c:/etc/hosts -`: `look(view, '/etc/hosts')` for the answer's header, then `read(view, …)`: `stat` and
 * the chunks of a tar whose top entry is `hosts`.
 *
 * Story 2, `docker cp - c:/srv`: `write(view, '/srv', body, options)` unpacks the tar into the directory that `/srv` leads to.
 */
import type { ViewPlan } from '../kernel/tree-views.ts';
import type { IdMapping } from '../oci/id-mapping.ts';

/** What is at a path, itself and not what it points to. */
export interface PathStat {
  /** Last part of the path as it was asked for. */
  readonly name: string;
  readonly sizeBytes: number;
  /** st_mode. */
  readonly mode: number;
  /** Nanoseconds since 1970 in decimal: JSON has no such numbers. */
  readonly mtimeNs: string;
  /** Where a symbolic link leads in the end, as the container sees it; '' for anything else. */
  readonly linkTarget: string;
}

/** A tree to copy from or to. */
export interface CopyView {
  readonly plan: ViewPlan;
  /** Ids as they are inside its user namespace; null where they are the host's. */
  readonly ids: IdMapping | null;
}

export interface WriteOptions {
  /** Refuse to put a file in a directory's place, and the other way round. */
  readonly keepsKinds: boolean;
  /** Whose everything becomes, by ids inside; null: whose it is in the archive. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  /** The root may not be written to, except for what is mounted in it. */
  readonly readOnlyRoot: boolean;
  /** Destinations that may be written to or not, whatever the root is. */
  readonly mounts: readonly { readonly destination: string; readonly readOnly: boolean }[];
}

/** A path that is being read. */
export interface PathArchive {
  readonly stat: PathStat;
  /** Leaving the loop, or aborting, ends the reading. What cannot be read any more rejects. */
  readonly chunks: AsyncGenerator<Buffer, void, void>;
}

export interface TreeCopier {
  /** Null when there is nothing. InvalidArgumentError for a file that is asked for as a directory (`/etc/hosts/`). */
  look(view: CopyView, path: string, signal?: AbortSignal): Promise<PathStat | null>;
  /** As {@link TreeCopier.look}, with all below it. Null when there is nothing. */
  read(view: CopyView, path: string, signal: AbortSignal): Promise<PathArchive | null>;
  /**
   * Unpacks a plain tar; what was unpacked before a failure stays, as in dockerd. False when there is no such directory;
   * InvalidArgumentError in Docker's words, UnavailableError when the disk is full.
   */
  write(
    view: CopyView,
    path: string,
    input: { readonly tar: AsyncIterable<Buffer>; readonly options: WriteOptions; readonly signal: AbortSignal },
  ): Promise<boolean>;
}
