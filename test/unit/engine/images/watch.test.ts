import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
let one: SyntheticImage;
let two: SyntheticImage;
/** Each change told: the id and the names it has by then; null when it has gone. */
let told: [string, readonly string[] | null][];

beforeEach(async () => {
  room = await makeImageRoom();
  one = await syntheticImage([{ a: '1' }], {});
  two = await syntheticImage([{ a: '2' }], {});
  room.registry.add('x/app', '1', one);
  await room.pull('r.io/x/app:1');
  told = [];
  room.images.watch((id) => told.push([id, room.images.find(id)?.tags ?? null]));
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

it('tells of a new image when it can be seen, and of the one that lost its name to it', async () => {
  room.registry.add('x/app', '1', two);
  await room.pull('r.io/x/app:1');
  expect(told).toContainEqual([two.id, ['r.io/x/app:1']]);
  expect(told).toContainEqual([one.id, []]);
  expect(told.every(([id, tags]) => (id === two.id ? tags?.length === 1 : tags?.length === 0))).toBe(true);
});

it('tells nothing of a pull that brought nothing new', async () => {
  await room.pull('r.io/x/app:1');
  expect(told.every(([id, tags]) => id === one.id && tags?.[0] === 'r.io/x/app:1')).toBe(true);
});

it('tells of names and of the end before the verb returns', async () => {
  room.images.tag(one.id, 'other', 'v1');
  expect(told.at(-1)).toEqual([one.id, ['other:v1', 'r.io/x/app:1']]);
  await room.images.remove('other:v1', { force: false, prune: true });
  expect(told.at(-1)).toEqual([one.id, ['r.io/x/app:1']]);
  await room.images.remove('r.io/x/app:1', { force: false, prune: true });
  expect(told.at(-1)).toEqual([one.id, null]);
});

it('takes a name and leaves the image', () => {
  room.images.untag('r.io/x/app:1');
  expect(told.at(-1)).toEqual([one.id, []]);
  expect(room.images.get(one.id).digests).toEqual([]);
  expect(room.events.at(-1)).toMatchObject({ type: 'image', action: 'untag', actorId: one.id });
  expect(() => room.images.untag(one.id)).toThrow('is an image id and no name');
  expect(() => room.images.untag('r.io/x/app:1')).toThrow('No such image: r.io/x/app:1');
});

it('asks a registry for a digest and brings nothing', async () => {
  room.registry.add('x/app', '1', two);
  const options = { auth: null, signal: new AbortController().signal };
  expect(await room.images.remoteDigest('r.io/x/app:1', options)).toBe(two.digest);
  expect(room.images.find(two.id)).toBeNull();
  await expect(room.images.remoteDigest('r.io/x/none', options)).rejects.toMatchObject({ kind: 'not-found' });
  expect(told).toEqual([]);
});
