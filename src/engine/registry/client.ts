/**
 * A registry, as the distribution-spec describes it. Challenges, tokens, mirrors, plain-HTTP fallback for insecure
 * registries and retries are inside; callers see descriptors and bytes.
 *
 * Story: `resolve(reference, auth)` gives the manifest's descriptor and bytes; for each layer `fetchBlob(repository,
 * descriptor, offset)` streams from an offset; a cut link is retried from where it broke by the caller's ingest.
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

export interface ResolvedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface RegistryClient {
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
  /** All tags of a repository, in the registry's order; follows its pages. NotFoundError in Docker's words. */
  tags(reference: NamedReference, options: RequestOptions): Promise<readonly string[]>;
  /** Checks credentials as `docker login` does; returns an identity token or the empty string. */
  authenticate(serverAddress: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string>;
}

export interface RequestOptions {
  readonly auth: RegistryAuth | null;
  readonly signal?: AbortSignal;
}
