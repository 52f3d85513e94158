import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImageCatalog, StoredImage } from '../../../../src/engine/images/catalog.ts';
import type { Collector } from '../../../../src/engine/images/collector.ts';
import { holdLayerBlobs, keptLayerBlobs } from '../../../../src/engine/images/layer-blobs.ts';
import { MediaType } from '../../../../src/engine/oci/image-spec.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { tarOf } from '../../../support/tar-builder.ts';
import { syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

const SHARED = { a: 'shared' };
let room: TestRoom;
let context: { readonly catalog: ImageCatalog; readonly collector: Collector; readonly content: TestRoom['content'] };
let zipped: SyntheticImage;
let plain: SyntheticImage;

beforeEach(async () => {
  room = await makeImageRoom();
  context = { ...room.images.store, content: room.content };
  zipped = await syntheticImage([SHARED, { b: 'zipped' }]);
  plain = await syntheticImage([SHARED, { c: 'plain' }], { format: 'none' });
  room.registry.add('zipped', 'latest', zipped);
  room.registry.add('plain', 'latest', plain);
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

function stored(image: SyntheticImage): StoredImage['document'] {
  const found = context.catalog.get(image.id);
  if (found === null) throw new Error('the image is not there');
  return found.document;
}

describe('the blob of a layer', () => {
  it("is the image's own where it is there", async () => {
    await room.pull('reg.test/zipped:latest');
    const blob = { digest: zipped.layers[1]?.digest, sizeBytes: zipped.layers[1]?.blob.length };
    expect((await keptLayerBlobs(context, stored(zipped)))[1]).toEqual({
      ...blob,
      mediaType: MediaType.dockerLayerGzip,
    });
  });

  it("is another image's where the pull found the layer unpacked", async () => {
    await room.pull('reg.test/zipped:latest');
    await room.pull('reg.test/plain:latest');
    const digest = zipped.layers[0]?.digest;
    expect(await keptLayerBlobs(context, stored(plain))).toMatchObject([
      { digest, mediaType: MediaType.dockerLayerGzip },
      { mediaType: MediaType.dockerLayer },
    ]);
  });

  it('is null when nobody has it', async () => {
    await room.pull('reg.test/zipped:latest');
    await room.content.remove(zipped.layers[0]?.digest as never);
    expect((await keptLayerBlobs(context, stored(zipped)))[0]).toBeNull();
  });

  it('stays as a stand-in when the image that brought it goes', async () => {
    await room.pull('reg.test/zipped:latest');
    await room.pull('reg.test/plain:latest');
    const [shared] = zipped.layers;
    expect(stored(plain).blobs.standIns).toEqual([
      {
        diffId: shared?.diffId,
        digest: shared?.digest,
        sizeBytes: shared?.blob.length,
        mediaType: MediaType.dockerLayerGzip,
      },
    ]);
    await room.images.remove('reg.test/zipped:latest', { force: false, prune: true });
    await room.images.collectLeftovers();
    await room.images.recover();
    expect((await keptLayerBlobs(context, stored(plain)))[0]).toMatchObject({ digest: shared?.digest });
    const id = await room.images.commit(commitOf(plain, 'changed'));
    await room.images.remove('reg.test/plain:latest', { force: false, prune: true });
    expect((await keptLayerBlobs(context, stored({ ...plain, id })))[0]).toMatchObject({ digest: shared?.digest });
    await room.images.remove(id, { force: true, prune: true });
    expect((await room.files()).blobs).toEqual([]);
  });

  it('is fetched by a pull when the layer is there and no blob of it', async () => {
    await room.pull('reg.test/zipped:latest');
    for (const { chainId } of stored(zipped).layers) room.layers.held.add(chainId);
    await room.images.remove('reg.test/zipped:latest', { force: true, prune: true });
    expect((await room.files()).blobs).toEqual([]);
    await room.pull('reg.test/zipped:latest');
    expect((await keptLayerBlobs(context, stored(zipped))).map((blob) => blob?.digest)).toEqual(
      zipped.layers.map(({ digest }) => digest),
    );
    await room.content.remove(zipped.layers[1]?.digest as never);
    // Nobody has marked it, and still a pull mends it.
    await room.pull('reg.test/zipped:latest');
    expect((await keptLayerBlobs(context, stored(zipped)))[1]).not.toBeNull();
  });

  it('follows when the plain one that stands in is compressed', async () => {
    const options = { quiet: true, progress: () => undefined, signal: new AbortController().signal };
    await room.images.load(Readable.from([dockerArchive(plain, 'new.test/plain:1')]), options);
    await room.pull('reg.test/zipped:latest');
    expect(stored(zipped).blobs.standIns).toMatchObject([{ mediaType: MediaType.dockerLayer }]);
    await room.images.push('new.test/plain:1', { platform: null, auth: null, ...options });
    const [packed] = stored(plain).blobs.layers;
    expect(stored(zipped).blobs.standIns).toEqual([{ ...packed, diffId: zipped.layers[0]?.diffId }]);
    await room.images.remove('new.test/plain:1', { force: false, prune: true });
    expect((await keptLayerBlobs(context, stored(zipped)))[0]).toEqual(packed);
  });

  it('stays while it is held, also when its last image goes, and goes then', async () => {
    await room.pull('reg.test/zipped:latest');
    const held = await holdLayerBlobs(context, stored(zipped));
    expect(held.blobs.map((blob) => blob?.digest)).toEqual(zipped.layers.map(({ digest }) => digest));
    for (const { repository, tag } of context.catalog.tables.tagsOf(zipped.id)) {
      context.catalog.tables.removeTag(repository, tag);
    }
    for (const { repository, digest } of context.catalog.tables.digestsOf(zipped.id)) {
      context.catalog.tables.removeDigest(repository, digest);
    }
    const candidates = { layers: [], blobs: context.catalog.remove(zipped.id) };
    await context.collector.collect(candidates);
    const [first] = zipped.layers;
    const bytes = await Readable.from(await room.content.open(first?.digest as never)).toArray();
    expect(Buffer.concat(bytes as Buffer[])).toEqual(first?.blob);
    await held[Symbol.asyncDispose]();
    expect((await room.files()).blobs).toEqual([]);
  });
});

function commitOf(image: SyntheticImage, snapshot: string): Parameters<TestRoom['images']['commit']>[0] {
  return {
    snapshot,
    parent: image.id,
    containerId: 'c'.repeat(64),
    containerConfig: {},
    config: null,
    changes: [],
    repository: null,
    tag: null,
    author: '',
    comment: '',
    scaffold: [],
    quiesce: async () => undefined,
    onTaken: async () => undefined,
  };
}

/** As Docker 20.10 saves it: plain layers, no manifest. */
function dockerArchive(image: SyntheticImage, tag: string): Buffer {
  const layers = image.layers.map(({ tar }, index) => ({ name: `${String(index)}/layer.tar`, data: tar }));
  const manifest = [{ Config: 'c.json', RepoTags: [tag], Layers: layers.map(({ name }) => name) }];
  return tarOf([
    { name: 'c.json', data: image.config },
    ...layers,
    { name: 'manifest.json', data: JSON.stringify(manifest) },
  ]);
}
