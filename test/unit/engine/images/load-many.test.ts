import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { sha256, syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';
import { tarOf } from '../../../support/tar-builder.ts';

const COUNT = 20;
let room: TestRoom;
beforeEach(async () => {
  room = await makeImageRoom();
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const make = async (index: number, diffIds?: readonly string[]): Promise<SyntheticImage> =>
  syntheticImage([{ shared: 'x' }, { word: String(index) }], {
    format: 'none',
    ...(diffIds === undefined ? {} : { diffIds }),
  });

/** All in one docker archive; each has a name of its own, and all want the name `last:1`. */
function archiveOf(images: readonly SyntheticImage[]): Buffer {
  const manifest = images.map((image, index) => ({
    Config: `${String(index)}.json`,
    RepoTags: [`many:${String(index)}`, 'last:1'],
    Layers: image.layers.map((_, at) => `${String(index)}/${String(at)}.tar`),
  }));
  return tarOf([
    ...images.flatMap((image, index) => [
      { name: `${String(index)}.json`, data: image.config },
      ...image.layers.map(({ tar }, at) => ({ name: `${String(index)}/${String(at)}.tar`, data: tar })),
    ]),
    { name: 'manifest.json', data: JSON.stringify(manifest) },
  ]);
}

async function load(images: readonly SyntheticImage[], signal = new AbortController().signal): Promise<string[]> {
  const loaded: string[] = [];
  await room.images.load(Readable.from([archiveOf(images)]), {
    quiet: true,
    progress: ({ stream }) => {
      if (stream?.startsWith('Loaded image: many') === true) loaded.push(stream.trim());
    },
    signal,
  });
  return loaded;
}

describe('an archive of many images', () => {
  it('gives them their names in its order', async () => {
    const images = await Promise.all(Array.from({ length: COUNT }, async (_, index) => make(index)));
    const expected = images.map((_, index) => `Loaded image: many:${String(index)}`);
    expect(await load(images)).toEqual(expected);
    expect(room.images.get('last:1').id).toBe(images.at(-1)?.id);
    expect(
      room.images.store.catalog
        .all()
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(images.map(({ id }) => id).toSorted());
    // Once more: nothing is brought, and the names go the same way.
    expect(await load(images)).toEqual(expected);
  });

  it('keeps what came before a bad one, and nothing of what comes after', async () => {
    const images = await Promise.all(
      Array.from({ length: COUNT }, async (_, index) =>
        index === 5 ? make(index, [sha256('wrong'), sha256('also')]) : make(index),
      ),
    );
    await expect(load(images)).rejects.toThrow('invalid diffID for layer');
    const kept = images.slice(0, 5);
    expect(room.images.get('last:1').id).toBe(kept.at(-1)?.id);
    const needed = new Set(kept.flatMap(({ id, layers }) => [id, ...layers.map(({ digest }) => digest)]));
    expect((await room.files()).blobs.toSorted()).toEqual([...needed].map((digest) => digest.slice(7)).toSorted());
    expect(room.layerTable.all()).toHaveLength(1 + kept.length);
    expect((await room.files()).ingests).toEqual([]);
  });

  it('stops when it is told to', async () => {
    const images = await Promise.all(Array.from({ length: COUNT }, async (_, index) => make(index)));
    const stop = new AbortController();
    let unpacked = 0;
    room.layers.onUnpack = async () => {
      unpacked += 1;
      if (unpacked === 6) stop.abort(new Error('the client has gone'));
    };
    await expect(load(images, stop.signal)).rejects.toThrow('the client has gone');
    const kept = room.images.store.catalog.all();
    expect(kept.length).toBeLessThan(COUNT);
    expect(room.layerTable.all()).toHaveLength(kept.length === 0 ? 0 : kept.length + 1);
    expect((await room.files()).ingests).toEqual([]);
  });
});
