/** Pruning images of a real image room. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { EngineEvent } from '../../../../src/engine/events/types.ts';
import { EVERY_IMAGE } from '../../../../src/engine/images/types.ts';
import type { ImageId } from '../../../../src/engine/oci/digest.ts';
import { createPrune } from '../../../../src/engine/prune/index.ts';
import { PRUNE_NOTHING, type Prune, type PruneRequest } from '../../../../src/engine/prune/types.ts';
import { FakeBuilds } from '../../../support/fake-builds.ts';
import { addImage } from '../../../support/image-family.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';

const DIGEST = `sha256:${'d'.repeat(64)}`;
const signal = new AbortController().signal;

let room: TestRoom;
let prune: Prune;
let announced: Omit<EngineEvent, 'time'>[];
let used: ImageId[];

beforeEach(async () => {
  room = await makeImageRoom();
  announced = [];
  used = [];
  prune = createPrune({
    images: room.images,
    builds: new FakeBuilds(),
    containers: {
      list: () => used.map((imageId) => ({ imageId, id: `of-${imageId}` })) as never,
      sizes: fail,
      remove: fail,
    },
    networks: { list: () => [], remove: fail },
    volumes: { list: () => [], usersOf: () => [], usage: fail, remove: fail },
    clock: room.clock,
    events: { publish: (event) => void announced.push(event) },
    logger: silentLogger,
  });
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const request = (wish: Partial<PruneRequest>): PruneRequest => ({ ...PRUNE_NOTHING, types: ['image'], ...wish });
const left = async (): Promise<readonly string[]> => (await room.images.list(EVERY_IMAGE)).map(({ id }) => id);

describe('pruning images', () => {
  it('takes a dangling image with the nameless images that it was made on, and counts each layer once', async () => {
    const base = addImage(room, { layers: { a: 100 }, names: ['base:1'] });
    const middle = addImage(room, { layers: { a: 100, b: 20 }, parent: base });
    addImage(room, { layers: { a: 100, b: 20, c: 3 }, parent: middle });
    const preview = await prune.preview(request({}));
    expect(preview).toMatchObject({ reclaimableBytes: 23, victims: [{ type: 'image', bytes: 23 }] });
    const { reclaimedBytes, imageRemovals } = await prune.run(request({}), signal);
    expect(reclaimedBytes).toBe(23);
    expect(imageRemovals).toHaveLength(4);
    expect(await left()).toEqual([base]);
  });

  it('leaves a nameless image that something else stands on', async () => {
    const middle = addImage(room, { layers: { a: 100 } });
    addImage(room, { layers: { a: 100, b: 20 }, parent: middle });
    const kept = addImage(room, { layers: { a: 100, c: 3 }, parent: middle, names: ['kept:1'] });
    const { victims } = await prune.preview(request({}));
    expect(victims.map(({ bytes }) => bytes)).toEqual([20]);
    expect((await prune.run(request({}), signal)).reclaimedBytes).toBe(20);
    expect(new Set(await left())).toEqual(new Set([middle, kept]));
  });

  it('leaves a nameless parent that a container uses', async () => {
    const middle = addImage(room, { layers: { a: 100 } });
    addImage(room, { layers: { a: 100, b: 20 }, parent: middle });
    used.push(middle);
    room.containers.set(middle, [{ id: 'c'.repeat(64), running: true }]);
    expect((await prune.run(request({}), signal)).reclaimedBytes).toBe(20);
    expect(await left()).toEqual([middle]);
  });

  it('takes an image that only digests name, in several repositories', async () => {
    addImage(room, { layers: { a: 100 }, names: [`one@${DIGEST}`, `two@${DIGEST}`] });
    const { imageRemovals, reclaimedBytes } = await prune.run(request({}), signal);
    expect(imageRemovals.slice(0, 2)).toEqual([{ untagged: `one@${DIGEST}` }, { untagged: `two@${DIGEST}` }]);
    expect(reclaimedBytes).toBe(100);
    expect(await left()).toEqual([]);
  });

  it('takes all names of an image, the digests of a repository with its last tag', async () => {
    addImage(room, { layers: { a: 100 }, names: ['one:1', 'two:1', `one@${DIGEST}`] });
    expect((await prune.run(request({}), signal)).removed).toEqual([]);
    const { imageRemovals } = await prune.run(request({ danglingOnly: false }), signal);
    expect(imageRemovals.slice(0, 3)).toEqual([
      { untagged: 'one:1' },
      { untagged: `one@${DIGEST}` },
      { untagged: 'two:1' },
    ]);
  });

  it('holds an image that does not say when it was made for new', async () => {
    addImage(room, { layers: { a: 100 } });
    expect((await prune.run(request({ until: '1s' }), signal)).removed).toEqual([]);
    expect((await prune.run(request({}), signal)).removed).toHaveLength(1);
  });

  it('is announced with what came free, also when it was nothing', async () => {
    await prune.run(request({}), signal);
    addImage(room, { layers: { a: 100 } });
    await prune.run(request({ types: ['image', 'volume', 'container'] }), signal);
    expect(announced).toEqual([
      { type: 'image', action: 'prune', actorId: '', attributes: { reclaimed: '0' } },
      { type: 'container', action: 'prune', actorId: '', attributes: { reclaimed: '0' } },
      { type: 'volume', action: 'prune', actorId: '', attributes: { reclaimed: '0' } },
      { type: 'image', action: 'prune', actorId: '', attributes: { reclaimed: '100' } },
    ]);
  });

  it('is not announced by one who looks often and finds nothing', async () => {
    await prune.run(request({}), signal, { isQuiet: true });
    expect(announced).toEqual([]);
  });
});

async function fail(): Promise<never> {
  throw new Error('nobody asks');
}
