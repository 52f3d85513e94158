/**
 * Trees that come from outside: what a build is made of. Everything happens in workers, by descriptors below the root that
 * is written to: no name in an archive, and nobody who renames and links meanwhile, leads out of it.
 *
 * Story 1, a tar from a client: `receive(root, body, { signal })` unpacks it while it comes.
 *
 * Story 2, a directory of the host: `gather(descriptor, root, { excludes, signal })` copies it, without what is left out.
 */

export interface TreeGatherer {
  /**
   * Unpacks an archive, plain or compressed by gzip or zstd, into an empty directory. What comes behind it is read and
   * thrown away. InvalidArgumentError for what is no archive, UnavailableError when the disk is full.
   */
  receive(root: string, tar: AsyncIterable<Buffer>, options: { readonly signal: AbortSignal }): Promise<void>;
  /**
   * Copies all below the directory `from` into an empty one, as far as the patterns (dockerfile/patterns.ts) let it;
   * links are copied and not followed. Owned by root, as a client's archive. What changes meanwhile comes as it is found.
   * `reader`: whoever has this user id must be able to read all of it, by owner or by everybody's bits; ForbiddenError.
   */
  gather(from: string, root: string, options: GatherOptions & { readonly reader: number | null }): Promise<void>;
  /** Takes away what the patterns match; without any, nothing. */
  sift(root: string, options: GatherOptions): Promise<void>;
  /** Deletes a tree; idempotent. */
  remove(root: string): Promise<void>;
}

export interface GatherOptions {
  readonly excludes: readonly string[];
  readonly signal: AbortSignal;
}
