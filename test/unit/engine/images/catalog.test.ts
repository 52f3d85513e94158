import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImageId } from '../../../../src/engine/oci/digest.ts';
import { parseReference } from '../../../../src/engine/oci/reference.ts';
import { addImage } from '../../../support/image-family.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';

let room: TestRoom;
let id: ImageId;
beforeEach(async () => {
  room = await makeImageRoom();
  id = addImage(room, { layers: { a: 1 }, names: ['a:1'] });
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

describe('the catalog', () => {
  it('remembers nothing of a transaction that failed, and tells nobody', () => {
    const { catalog } = room.images.store;
    const before = catalog.get(id);
    expect(catalog.all().map((image) => image.id)).toEqual([id]);
    if (before === null) throw new Error('the image is not there');
    const told: ImageId[] = [];
    using _watch = catalog.watch((changed) => told.push(changed));
    const other = addImage(room, { layers: { b: 1 } });
    expect(told).toEqual([other]);
    const failing = (): void =>
      catalog.transaction(() => {
        catalog.replace({ id, document: { ...before.document, sizeBytes: 99 } });
        catalog.removeName(parseReference('a:1'));
        catalog.remove(other);
        expect(catalog.all().map((image) => image.document.sizeBytes)).toEqual([99]);
        throw new Error('the disk is full');
      });
    expect(failing).toThrow('the disk is full');
    expect(catalog.get(id)).toEqual(before);
    expect(
      catalog
        .all()
        .map((image) => image.id)
        .toSorted(),
    ).toEqual([id, other].toSorted());
    expect(catalog.named(parseReference('a:1'))).toBe(id);
    expect(told).toEqual([other]);
  });

  it('lists images in the order in which they came, also those that came and went since', async () => {
    const { catalog } = room.images.store;
    const second = addImage(room, { layers: { b: 1 } });
    expect(catalog.all().map((image) => image.id)).toContain(second);
    await room.clock.advance(1000);
    const third = addImage(room, { layers: { c: 1 } });
    expect(catalog.all().at(-1)?.id).toBe(third);
    catalog.transaction(() => catalog.remove(second));
    expect(catalog.all().map((image) => image.id)).toEqual([id, third]);
  });
});
