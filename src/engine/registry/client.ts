/**
 * A registry, as the distribution-spec describes it. Challenges, tokens, mirrors, plain-HTTP fallback for insecure
 * registries and retries are inside; callers see descriptors and bytes.
 *
 * Story: `resolve(reference, auth)` gives the manifest's descriptor and bytes; for each layer `fetchBlob(repository,
 * descriptor, offset)` streams from an offset; a cut link is retried from where it broke by the caller's ingest. How
 * things are written is told at {@link RegistryPush}.
 *
 * Errors: NotFoundError (`manifest for x:tag not found: manifest unknown: …` in Docker's words), UnauthorizedError,
 * UnavailableError (registry gone; Docker's `Get "https://…": dial tcp …` texts), DataLossError (digest mismatch).
 */
import type { Readable } from 'node:stream';
import type { Descriptor } from '../oci/image-spec.ts';
import type { Digest } from '../oci/digest.ts';
import type { NamedReference } from '../oci/reference.ts';

/** Credentials of one request; never logged. */
export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
}

/** A file that is being sent. */
export interface FetchedFile {
  /** Where it comes from, without what the address proves: it is told and written down. */
  readonly address: string;
  /** Null when the server does not say. */
  readonly sizeBytes: number | null;
  /** `Content-Type`, `Content-Disposition` and `Last-Modified` as the server gives them; '' when it does not. */
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly lastModified: string;
  readonly body: Readable;
}

export interface ResolvedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface RegistryClient extends RegistryPush, RegistrySearch {
  /** Looks a tag or digest up. */
  resolve(reference: NamedReference, options: RequestOptions): Promise<ResolvedManifest>;
  /** Fetches a manifest by digest; the bytes are verified. */
  fetchManifest(reference: NamedReference, digest: Digest, options: RequestOptions): Promise<ResolvedManifest>;
  /** Streams a blob from `offset`; the digest is for the caller (the ingest) to verify. */
  fetchBlob(
    reference: NamedReference,
    descriptor: Descriptor,
    offset: number,
    options: RequestOptions,
  ): Promise<Readable>;
  /**
   * Says that what {@link fetchBlob} sent is not this blob. True when it came from a mirror, which is asked last for it from
   * now on: another try makes sense.
   */
  rejectBlob(digest: Digest): Promise<boolean>;
  /** All tags of a repository, in the registry's order; follows its pages. NotFoundError in Docker's words. */
  tags(reference: NamedReference, options: RequestOptions): Promise<readonly string[]>;
  /**
   * Fetches a file that lies anywhere, by HTTP (`docker import URL`); an address without scheme is a host. The body is for
   * the caller to read, or to destroy.
   */
  fetchFile(address: string, signal: AbortSignal): Promise<FetchedFile>;
  /** Checks credentials as `docker login` does; returns an identity token or the empty string. */
  authenticate(serverAddress: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string>;
}

/** Bytes that can be read as often as an upload has to begin again. */
export interface PushableBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  open(offset: number): Promise<Readable>;
}

/**
 * Writing to a registry. Story: `greet` once; for each layer `pushBlob` (which asks first whether it is there, and mounts
 * it from `mountFrom` where it can), then the config, then `pushManifest` under tag or digest.
 *
 * Errors: ForbiddenError and UnauthorizedError in Docker's words (`denied: requested access to the resource is denied`),
 * UnavailableError, DataLossError when the registry kept something else than was sent.
 */
export interface RegistryPush {
  /** Finds out anew that the registry is there and how it wants to be asked; the requests of one push rely on it. */
  greet(reference: NamedReference, options: RequestOptions): Promise<void>;
  /** As {@link pushBlob}, without bytes: null when the repository neither has the blob nor can get it by a mount. */
  offerBlob(reference: NamedReference, digest: Digest, options: OfferOptions): Promise<BlobArrival | null>;
  /** Brings a blob to the repository of `reference`; says how it came there. Retries and resumes inside. */
  pushBlob(reference: NamedReference, blob: PushableBlob, options: PushBlobOptions): Promise<BlobArrival>;
  /** Puts a manifest under the tag or digest of `reference`. Idempotent. Returns the digest the registry knows it by. */
  pushManifest(
    reference: NamedReference,
    manifest: { readonly mediaType: string; readonly bytes: Buffer },
    options: RequestOptions,
  ): Promise<Digest>;
  /**
   * Deletes a manifest from the registry, and with it every tag that names it. NotFoundError; NotImplementedError when
   * the registry does not delete.
   */
  removeManifest(reference: NamedReference, digest: Digest, options: RequestOptions): Promise<void>;
}

/** How a blob came to a repository. */
export type BlobArrival =
  { readonly kind: 'uploaded' | 'existed' } | { readonly kind: 'mounted'; readonly from: string };

export interface OfferOptions extends RequestOptions {
  /** Repositories of the same registry (paths) that have the blob, the likeliest first. */
  readonly mountFrom: readonly string[];
}

export interface PushBlobOptions extends OfferOptions {
  /** Called with the bytes sent so far; it may go back when an upload begins again. */
  readonly onProgress?: (sentBytes: number) => void;
  /** Called once a second while a failed upload waits for its next attempt. */
  readonly onWait?: (secondsLeft: number) => void;
}

/** Finding repositories. */
export interface RegistrySearch {
  /**
   * Searches the registry at `domain`: by Docker's search protocol where it is offered, else in the list of its
   * repositories. NotImplementedError when there is neither; UnauthorizedError, UnavailableError.
   */
  search(domain: string, term: string, options: RequestOptions & { readonly limit: number }): Promise<SearchResult[]>;
}

/** One repository that was found. */
export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly isOfficial: boolean;
  readonly isAutomated: boolean;
  readonly starCount: number;
}

export interface RequestOptions {
  readonly auth: RegistryAuth | null;
  /** What mirrors have does not count. */
  readonly withoutMirrors?: boolean;
  readonly signal?: AbortSignal;
}
