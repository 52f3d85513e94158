import { expect, it } from 'vitest';
import { digestOf, type ImageId } from '../../../../src/engine/oci/digest.ts';
import { LayerTable } from '../../../../src/engine/state/layers.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage } from '../../../support/synthetic-image.ts';

/** A pulled image, as it is after a change of storage driver: its rows are another's. */
async function roomOfAnotherDriver(): Promise<{ readonly room: TestRoom; readonly id: ImageId }> {
  const room = await makeImageRoom();
  const image = await syntheticImage([{ one: '1' }, { two: '2' }, { three: '3' }]);
  room.registry.add('lib/app', 'v1', image);
  await room.pull('lib/app:v1');
  room.database.run("UPDATE layer SET driver = 'vfs'");
  return { room, id: image.id };
}

it('unpacks all layers out of kept blobs, once however many ask', async () => {
  const { room, id } = await roomOfAnotherDriver();
  await using _room = room;
  let unpacks = 0;
  room.layers.onUnpack = async () => void (unpacks += 1);
  expect(await room.images.describeStorage(id)).toEqual({});
  await room.images.provide(id);
  expect([room.layerTable.all().length, unpacks]).toEqual([3, 3]);
  await room.images.provide(id);
  expect(unpacks).toBe(3);
  expect(new LayerTable(room.database, 'vfs').all()).toHaveLength(3);
  expect(await room.images.describeStorage(id)).not.toEqual({});
});

it('says which layer has no blob, as something that a pull brings', async () => {
  const { room, id } = await roomOfAnotherDriver();
  await using _room = room;
  const { blobs } = room.images.store.catalog.get(id)!.document;
  await room.content.remove(blobs.layers[1]!.digest);
  const failure = room.images.provide(id);
  await expect(failure).rejects.toMatchObject({ kind: 'not-found' });
  await expect(failure).rejects.toThrow(
    /^image lib\/app:v1 is not unpacked for the storage driver in use, and the content of layer [0-9a-f]{12} is not kept here any more: pull it again$/,
  );
  expect(room.layerTable.all()).toEqual([]);
  await room.pull('lib/app:v1');
  expect(room.layerTable.all()).toHaveLength(3);
});

it('ends all of it with the first that fails', async () => {
  const { room, id } = await roomOfAnotherDriver();
  await using _room = room;
  const [first] = room.images.store.catalog.get(id)!.document.config.rootfs.diff_ids;
  room.layers.onUnpack = async ({ diffId }) => {
    if (diffId === first) throw new Error('the disk is gone');
  };
  await expect(room.images.provide(id)).rejects.toThrow(
    'image lib/app:v1 could not be unpacked for the storage driver in use: the disk is gone',
  );
  await expect(room.images.provide(digestOf(Buffer.from('none')))).rejects.toThrow(/No such image/);
});
