import type { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { digestOf, type Digest } from '../../src/engine/oci/digest.ts';
import { MediaType } from '../../src/engine/oci/image-spec.ts';
import { parseReference, type NamedReference } from '../../src/engine/oci/reference.ts';
import type { RegistryClient } from '../../src/engine/registry/client.ts';
import { indexOf, syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/** A client with a registry behind it that the suite may fill. */
export interface RegistryUnderTest extends AsyncDisposable {
  readonly client: RegistryClient;
  readonly domain: string;
  addImage(repository: string, tag: string, image: SyntheticImage): Promise<void>;
  addManifest(repository: string, tag: string, bytes: Buffer, mediaType: string): Promise<void>;
}

const anonymous = { auth: null };

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What every RegistryClient does. */
export function registryContract(make: () => Promise<RegistryUnderTest>): void {
  const named = ({ domain }: RegistryUnderTest, text: string): NamedReference => parseReference(`${domain}/${text}`);

  it('resolves a tag to its manifest, and the digest to the same', async () => {
    await using under = await make();
    for (const oci of [false, true]) {
      const image = await syntheticImage([{ a: '1' }], { oci });
      await under.addImage('c/one', oci ? 'oci' : 'docker', image);
      const byTag = await under.client.resolve(named(under, `c/one:${oci ? 'oci' : 'docker'}`), anonymous);
      expect(byTag.bytes.equals(image.manifest)).toBe(true);
      expect(byTag.descriptor).toEqual({
        mediaType: image.manifestMediaType,
        digest: image.digest,
        size: image.manifest.length,
      });
      expect(await under.client.resolve(named(under, `c/one@${image.digest}`), anonymous)).toEqual(byTag);
      expect(await under.client.fetchManifest(named(under, 'c/one:docker'), image.digest, anonymous)).toEqual(byTag);
    }
  });

  it('resolves an index as an index', async () => {
    await using under = await make();
    const image = await syntheticImage([{ a: '1' }]);
    await under.addImage('c/one', '1', image);
    const index = indexOf([{ image, platform: { os: 'linux', architecture: 'amd64' } }]);
    await under.addManifest('c/one', 'many', index.bytes, index.mediaType);
    const { descriptor } = await under.client.resolve(named(under, 'c/one:many'), anonymous);
    expect(descriptor).toMatchObject({ mediaType: MediaType.dockerManifestList, digest: index.digest });
  });

  it('lists the tags of a repository', async () => {
    await using under = await make();
    for (const tag of ['1', '2', 'x.y']) await under.addImage('c/one', tag, await syntheticImage([{ a: tag }]));
    const tags = await under.client.tags(named(under, 'c/one'), anonymous);
    expect(tags.toSorted()).toEqual(['1', '2', 'x.y']);
  });

  it('streams a blob, whole and from an offset', async () => {
    await using under = await make();
    const image = await syntheticImage([{ a: Buffer.alloc(300_000, 'q') }], { format: 'none' });
    await under.addImage('c/one', '1', image);
    const reference = named(under, 'c/one:1');
    const layer = image.layers[0]!;
    const descriptor = { mediaType: layer.mediaType, digest: layer.digest, size: layer.blob.length };
    expect(digestOf(await read(await under.client.fetchBlob(reference, descriptor, 0, anonymous)))).toBe(layer.digest);
    const rest = await read(await under.client.fetchBlob(reference, descriptor, 200_000, anonymous));
    expect(rest.equals(layer.blob.subarray(200_000))).toBe(true);
  });

  it('says in Docker’s words what is not there', async () => {
    await using under = await make();
    await under.addImage('c/one', '1', await syntheticImage([{ a: '1' }]));
    const missing = `sha256:${'0'.repeat(64)}` as Digest;
    for (const text of ['c/one:nope', 'c/none:1', `c/one@${missing}`]) {
      await expect(under.client.resolve(named(under, text), anonymous)).rejects.toMatchObject({
        kind: 'not-found',
        message: `manifest for ${under.domain}/${text} not found: manifest unknown: manifest unknown`,
      });
    }
    const descriptor = { mediaType: '', digest: missing, size: 1 };
    await expect(under.client.fetchBlob(named(under, 'c/one:1'), descriptor, 0, anonymous)).rejects.toMatchObject({
      kind: 'not-found',
      message: 'unknown blob',
    });
  });
}
