import { Readable } from 'node:stream';
import { DataLossError, InternalError, NotFoundError } from '../../src/base/errors.ts';
import { digestOf, type Digest } from '../../src/engine/oci/digest.ts';
import type { Descriptor } from '../../src/engine/oci/image-spec.ts';
import { familiarString, type NamedReference } from '../../src/engine/oci/reference.ts';
import type {
  BlobArrival,
  FetchedFile,
  OfferOptions,
  PushableBlob,
  PushBlobOptions,
  RegistryClient,
  RequestOptions,
  ResolvedManifest,
  SearchResult,
} from '../../src/engine/registry/client.ts';
import { parseManifest } from '../../src/engine/registry/wire.ts';
import type { SyntheticImage } from './synthetic-image.ts';

/** A registry that is nothing but maps. Transfers of blobs can be told to misbehave. */
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
  /** Digests of blobs whose bytes were sent. */
  readonly uploads: Digest[] = [];
  /** Called before each blob is taken. */
  onPush: (reference: NamedReference, digest: Digest, options: PushBlobOptions) => Promise<void> = async () =>
    undefined;

  /** What `fetchFile` finds, by address. */
  readonly files = new Map<string, Buffer>();

  async rejectBlob(): Promise<boolean> {
    return false;
  }

  async fetchFile(address: string): Promise<FetchedFile> {
    const bytes = this.files.get(address);
    if (bytes === undefined) throw new NotFoundError(`failed to GET ${address} with status 404 Not Found: `);
    const unsaid = { contentType: '', contentDisposition: '', lastModified: '' };
    return { address, sizeBytes: bytes.length, ...unsaid, body: Readable.from([bytes]) };
  }

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

  async greet(): Promise<void> {}

  async offerBlob(reference: NamedReference, digest: Digest, { mountFrom }: OfferOptions): Promise<BlobArrival | null> {
    const key = `${reference.path} ${digest}`;
    if (this.#blobs.has(key)) return { kind: 'existed' };
    for (const from of mountFrom) {
      const blob = this.#blobs.get(`${from} ${digest}`);
      if (blob === undefined) continue;
      this.#blobs.set(key, blob);
      return { kind: 'mounted', from };
    }
    return null;
  }

  async pushBlob(reference: NamedReference, blob: PushableBlob, options: PushBlobOptions): Promise<BlobArrival> {
    const offered = await this.offerBlob(reference, blob.digest, options);
    if (offered !== null) return offered;
    await this.onPush(reference, blob.digest, options);
    const chunks: Buffer[] = [];
    let sent = 0;
    for await (const chunk of (await blob.open(0)) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      options.onProgress?.((sent += chunk.length));
    }
    const bytes = Buffer.concat(chunks);
    if (digestOf(bytes) !== blob.digest) throw new InternalError('digest invalid: provided digest did not match');
    this.uploads.push(blob.digest);
    this.#blobs.set(`${reference.path} ${blob.digest}`, bytes);
    return { kind: 'uploaded' };
  }

  async pushManifest(
    reference: NamedReference,
    { mediaType, bytes }: { readonly mediaType: string; readonly bytes: Buffer },
  ): Promise<Digest> {
    const { config, layers } = parseManifest(bytes);
    for (const { digest } of [config, ...layers]) {
      if (!this.#blobs.has(`${reference.path} ${digest}`)) {
        throw new InternalError('manifest blob unknown: blob unknown to registry');
      }
    }
    this.addManifest(reference.path, reference.tag, bytes, mediaType);
    return digestOf(bytes);
  }

  async removeManifest(reference: NamedReference, digest: Digest): Promise<void> {
    this.#manifest(reference, digest);
    for (const [key, { bytes }] of this.#manifests) {
      if (key.startsWith(`${reference.path} `) && digestOf(bytes) === digest) this.#manifests.delete(key);
    }
  }

  async search(
    domain: string,
    term: string,
    { limit }: RequestOptions & { readonly limit: number },
  ): Promise<SearchResult[]> {
    const names = new Set([...this.#manifests.keys()].map((key) => key.split(' ', 1)[0] ?? ''));
    return [...names]
      .filter((name) => name.includes(term))
      .toSorted()
      .slice(0, limit)
      .map((name) => ({
        name: `${domain}/${name}`,
        description: '',
        isOfficial: false,
        isAutomated: false,
        starCount: 0,
      }));
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
