import { Readable } from 'node:stream';
import { DataLossError, NotFoundError } from '../../src/base/errors.ts';
import { digestOf, type Digest } from '../../src/engine/oci/digest.ts';
import type { Descriptor } from '../../src/engine/oci/image-spec.ts';
import { familiarString, type NamedReference } from '../../src/engine/oci/reference.ts';
import type { RegistryClient, ResolvedManifest } from '../../src/engine/registry/client.ts';
import type { SyntheticImage } from './synthetic-image.ts';

/** A registry that is nothing but maps. Blob fetches can be told to misbehave. */
export class MemoryRegistry implements RegistryClient {
  readonly #manifests = new Map<string, { readonly bytes: Buffer; readonly mediaType: string }>();
  readonly #blobs = new Map<string, Buffer>();
  /** Offsets asked for, by digest. */
  readonly fetches: { readonly digest: Digest; readonly offset: number }[] = [];
  /** Called before each blob is served; what it returns is served in place of the blob's rest. */
  onFetch: (digest: Digest, rest: Buffer, signal: AbortSignal | undefined) => Readable | Promise<Readable> = (
    _,
    rest,
  ) => Readable.from([rest]);

  add(repository: string, tag: string | null, image: SyntheticImage): void {
    for (const blob of [image.config, ...image.layers.map((layer) => layer.blob)]) {
      this.#blobs.set(`${repository} ${digestOf(blob)}`, blob);
    }
    this.addManifest(repository, tag, image.manifest, image.manifestMediaType);
  }

  addManifest(repository: string, tag: string | null, bytes: Buffer, mediaType: string): void {
    this.#manifests.set(`${repository} ${digestOf(bytes)}`, { bytes, mediaType });
    if (tag !== null) this.#manifests.set(`${repository} ${tag}`, { bytes, mediaType });
  }

  async resolve(reference: NamedReference): Promise<ResolvedManifest> {
    return this.#manifest(reference, reference.digest ?? reference.tag ?? 'latest');
  }

  async fetchManifest(reference: NamedReference, digest: Digest): Promise<ResolvedManifest> {
    return this.#manifest(reference, digest);
  }

  async fetchBlob(
    reference: NamedReference,
    descriptor: Descriptor,
    offset: number,
    options: { readonly signal?: AbortSignal },
  ): Promise<Readable> {
    this.fetches.push({ digest: descriptor.digest, offset });
    const blob = this.#blobs.get(`${reference.path} ${descriptor.digest}`);
    if (blob === undefined) throw new NotFoundError('unknown blob');
    return await this.onFetch(descriptor.digest, blob.subarray(offset), options.signal);
  }

  async tags(reference: NamedReference): Promise<readonly string[]> {
    const names = [...this.#manifests.keys()].map((key) => key.split(' '));
    return names.flatMap(([repository, tag = '']) =>
      repository === reference.path && !tag.includes(':') ? [tag] : [],
    );
  }

  async authenticate(): Promise<string> {
    return '';
  }

  #manifest(reference: NamedReference, tagOrDigest: string): ResolvedManifest {
    const found = this.#manifests.get(`${reference.path} ${tagOrDigest}`);
    if (found === undefined) {
      throw new NotFoundError(
        `manifest for ${familiarString(reference)} not found: manifest unknown: manifest unknown`,
      );
    }
    const digest = digestOf(found.bytes);
    if (tagOrDigest.startsWith('sha256:') && digest !== tagOrDigest) {
      throw new DataLossError(`manifest verification failed for digest ${tagOrDigest}`);
    }
    return { descriptor: { mediaType: found.mediaType, digest, size: found.bytes.length }, bytes: found.bytes };
  }
}
