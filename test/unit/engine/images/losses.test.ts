import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImageId } from '../../../../src/engine/oci/digest.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
let one: SyntheticImage;
let other: SyntheticImage;
beforeEach(async () => {
  room = await makeImageRoom();
  one = await syntheticImage([{ a: 'shared' }, { b: 'one' }]);
  other = await syntheticImage([{ a: 'shared' }, { c: 'other' }], { format: 'zstd', oci: true });
  room.registry.add('one', '1', one);
  room.registry.add('other', '1', other);
  await room.pull('reg.test/one:1');
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

describe('what a check has marked', () => {
  it('is a damaged tree for every image that stands on it', async () => {
    const { upkeep, catalog } = room.images.store;
    const subject = catalog.get(one.id)?.document.layers[0]?.chainId;
    if (subject === undefined) throw new Error('the image has no layer');
    upkeep.addFlaw({ imageId: one.id, subject, kind: 'layer' });
    // Removed while it was looked at.
    upkeep.addFlaw({ imageId: `sha256:${'0'.repeat(64)}` as ImageId, subject, kind: 'layer' });
    const again: boolean[] = [];
    room.layers.onUnpack = async (request) => void again.push(request.again === true);
    await room.pull('reg.test/other:1');
    expect(again.toSorted()).toEqual([false, true]);
    expect(upkeep.flawsOf(one.id)).toEqual([]);
  });

  it('is brought by another image that needs the same blob, and the mark goes with it', async () => {
    const { upkeep } = room.images.store;
    const [shared] = other.layers;
    const subject = shared?.digest;
    if (subject === undefined) throw new Error('the image has no layer');
    upkeep.addFlaw({ imageId: one.id, subject, kind: 'blob' });
    const fetched = await room.pull('reg.test/other:1');
    expect(fetched.some(({ status }) => status === 'Already exists')).toBe(false);
    expect((await room.content.stat(subject))?.digest).toBe(subject);
    expect(upkeep.flawsOf(one.id)).toEqual([]);
  });
});
