import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { digestOf, type Digest } from '../../src/engine/oci/digest.ts';
import { parseReference, type NamedReference } from '../../src/engine/oci/reference.ts';
import type { PushableBlob, RegistryClient } from '../../src/engine/registry/client.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/** A client with an empty registry behind it. */
export interface PushUnderTest extends AsyncDisposable {
  readonly client: RegistryClient;
  readonly domain: string;
}

const plain = { auth: null, mountFrom: [] };

export function blobOf(bytes: Buffer): PushableBlob {
  return {
    digest: digestOf(bytes),
    sizeBytes: bytes.length,
    open: async (offset) => Readable.from(piecesOf(bytes.subarray(offset)), { objectMode: false }),
  };
}

/** As a file would come: not in one piece. */
function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

export async function pushAll(
  client: RegistryClient,
  reference: NamedReference,
  image: SyntheticImage,
): Promise<Digest> {
  for (const bytes of [...image.layers.map(({ blob }) => blob), image.config]) {
    await client.pushBlob(reference, blobOf(bytes), plain);
  }
  const manifest = { mediaType: image.manifestMediaType, bytes: image.manifest };
  return await client.pushManifest(reference, manifest, { auth: null });
}

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What every registry that is written to does. */
export function registryPushContract(make: () => Promise<PushUnderTest>): void {
  const named = ({ domain }: PushUnderTest, text: string): NamedReference => parseReference(`${domain}/${text}`);

  it('keeps what is pushed, docker and OCI, byte for byte', async () => {
    await using under = await make();
    for (const oci of [false, true]) {
      const image = await syntheticImage([{ a: randomBytes(300_000) }, { b: '2' }], { oci });
      const reference = named(under, `p/one:${oci ? 'oci' : 'docker'}`);
      await under.client.greet(reference, { auth: null });
      expect(await pushAll(under.client, reference, image)).toBe(image.digest);
      const { descriptor, bytes } = await under.client.resolve(reference, { auth: null });
      expect(bytes.equals(image.manifest)).toBe(true);
      expect(descriptor.mediaType).toBe(image.manifestMediaType);
      const layer = image.layers[0]!;
      const wanted = { mediaType: layer.mediaType, digest: layer.digest, size: layer.blob.length };
      expect(digestOf(await read(await under.client.fetchBlob(reference, wanted, 0, { auth: null })))).toBe(
        layer.digest,
      );
    }
  });

  it('counts the bytes, and says how a blob came', async () => {
    await using under = await make();
    const blob = blobOf(randomBytes(200_000));
    const counted: number[] = [];
    const onProgress = (sent: number): void => void counted.push(sent);
    const reference = named(under, 'p/one:1');
    expect(await under.client.pushBlob(reference, blob, { ...plain, onProgress })).toEqual({ kind: 'uploaded' });
    expect(counted.at(-1)).toBe(200_000);
    expect(counted.toSorted((a, b) => a - b)).toEqual(counted);
    expect(await under.client.pushBlob(reference, blob, { ...plain, onProgress })).toEqual({ kind: 'existed' });
    expect(await under.client.offerBlob(reference, blob.digest, plain)).toEqual({ kind: 'existed' });
  });

  it('pushes an empty blob', async () => {
    await using under = await make();
    const arrival = await under.client.pushBlob(named(under, 'p/one:1'), blobOf(Buffer.alloc(0)), plain);
    expect(arrival.kind).toMatch(/^(uploaded|existed)$/);
  });

  it('mounts from another repository, and sends where that one does not have it', async () => {
    await using under = await make();
    const blob = blobOf(randomBytes(100_000));
    await under.client.pushBlob(named(under, 'p/base:1'), blob, plain);
    const mountFrom = ['p/none', 'p/base'];
    expect(await under.client.pushBlob(named(under, 'p/app:1'), blob, { auth: null, mountFrom })).toEqual({
      kind: 'mounted',
      from: 'p/base',
    });
    const other = blobOf(randomBytes(1000));
    expect(await under.client.pushBlob(named(under, 'p/app:1'), other, { auth: null, mountFrom })).toEqual({
      kind: 'uploaded',
    });
    expect(await under.client.offerBlob(named(under, 'p/x:1'), blobOf(randomBytes(9)).digest, plain)).toBeNull();
  });

  it('refuses a manifest whose blobs it lacks', async () => {
    await using under = await make();
    const image = await syntheticImage([{ a: '1' }]);
    const manifest = { mediaType: image.manifestMediaType, bytes: image.manifest };
    await expect(under.client.pushManifest(named(under, 'p/one:1'), manifest, { auth: null })).rejects.toThrow(
      'manifest blob unknown',
    );
  });

  it('deletes an image with all its tags', async () => {
    await using under = await make();
    const image = await syntheticImage([{ a: '1' }]);
    for (const tag of ['1', 'latest']) await pushAll(under.client, named(under, `p/gone:${tag}`), image);
    const reference = named(under, 'p/gone:1');
    await under.client.removeManifest(reference, image.digest, { auth: null });
    for (const tag of ['1', 'latest']) {
      await expect(under.client.resolve(named(under, `p/gone:${tag}`), { auth: null })).rejects.toMatchObject({
        kind: 'not-found',
      });
    }
    await expect(under.client.removeManifest(reference, image.digest, { auth: null })).rejects.toMatchObject({
      kind: 'not-found',
    });
  });

  it('finds repositories by a part of their name', async () => {
    await using under = await make();
    for (const name of ['team/web', 'team/db', 'webshop', 'other']) {
      await pushAll(under.client, named(under, `${name}:1`), await syntheticImage([{ a: name }]));
    }
    const namesOf = async (term: string, limit = 25): Promise<readonly string[]> =>
      (await under.client.search(under.domain, term, { auth: null, limit })).map(({ name }) => name);
    expect(await namesOf('web')).toEqual([`${under.domain}/team/web`, `${under.domain}/webshop`]);
    expect(await namesOf('', 3)).toHaveLength(3);
    expect(await namesOf('nothing')).toEqual([]);
  });
}
