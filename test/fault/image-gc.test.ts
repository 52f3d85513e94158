import { expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.ts';
import type { ContentStore } from '../../src/engine/content/store.ts';
import { createImageGc } from '../../src/engine/gc/index.ts';
import { EVERY_IMAGE } from '../../src/engine/images/types.ts';
import { createPrune } from '../../src/engine/prune/index.ts';
import type { PruneRooms } from '../../src/engine/prune/select.ts';
import { makeImageRoom, type TestRoom } from '../support/image-room.ts';
import { syntheticImage } from '../support/synthetic-image.ts';

const HOUR_MS = 3_600_000;
const SIGNAL = new AbortController().signal;

/** Counts operations that change something, and fails the n-th. */
class Saboteur {
  left: number;

  constructor(nth: number) {
    this.left = nth;
  }

  /** Throws when its turn has come. */
  step(): void {
    this.left -= 1;
    if (this.left === 0) throw new Error('the disk is broken');
  }
}

/** Three images, two of which share a layer, unused for long; one that a container has. */
async function fill(room: TestRoom): Promise<void> {
  const shared = { shared: '1' };
  for (const [name, layers] of Object.entries({
    one: [shared, { a: '1' }],
    two: [shared, { b: '2' }],
    three: [{ c: '3' }],
    used: [shared, { d: '4' }],
  })) {
    room.registry.add(`x/${name}`, '1', await syntheticImage(layers));
    await room.pull(`r.io/x/${name}:1`);
  }
  room.containers.set(room.images.get('r.io/x/used:1').id, [{ id: 'c', running: false }]);
  await room.clock.advance(100 * HOUR_MS);
}

function gcOf(room: TestRoom) {
  const used = room.images.get('r.io/x/used:1').id;
  const rooms = {
    containers: {
      list: () => [
        { id: 'c', name: 'c', imageId: used, createdAt: 0n, spec: { labels: {} }, state: { status: 'exited' } },
      ],
    },
    images: room.images,
    volumes: { list: () => [] },
  } as unknown as PruneRooms;
  const { clock, images } = room;
  return createImageGc({
    prune: createPrune({ ...rooms, events: { publish: () => undefined }, clock, logger: silentLogger }),
    containers: rooms.containers as never,
    images,
    builds: { collectCache: async () => undefined },
    events: { listen: () => ({ [Symbol.dispose]: () => undefined }) },
    clock,
    logger: silentLogger,
    diskUsage: async () => ({ usedBytes: 0, totalBytes: 1 }),
    rules: { isOn: true, isDryRun: false, unusedFor: '24h', keepNewestTags: 0, keepLabels: [], space: null },
  });
}

/** Every image has what it needs, and nothing else is there once the leftovers were taken. */
async function expectWhole(room: TestRoom): Promise<void> {
  const images = await room.images.list(EVERY_IMAGE);
  for (const { id, layerChainIds } of images) {
    expect(await room.content.stat(id as never)).not.toBeNull();
    for (const chainId of layerChainIds) expect(room.layerTable.get(chainId)).not.toBeNull();
  }
}

it('whatever operation of a collection fails, no image is half there and the next collection finishes', async () => {
  for (let nth = 1; ; nth += 1) {
    const saboteur = new Saboteur(Infinity);
    const wrapContent = (content: ContentStore): ContentStore =>
      new Proxy(content, {
        get: (target, key) => {
          const member = Reflect.get(target, key) as unknown;
          if (typeof member !== 'function') return member;
          const bound = member.bind(target) as (...args: unknown[]) => unknown;
          if (key !== 'remove') return bound;
          return async (...args: unknown[]) => {
            saboteur.step();
            return bound(...args);
          };
        },
      });
    await using room = await makeImageRoom({ wrapContent });
    await fill(room);
    const removeLayer = room.layers.remove.bind(room.layers);
    room.layers.remove = async (chainId) => {
      saboteur.step();
      await removeLayer(chainId);
    };
    const run = room.database.run.bind(room.database);
    room.database.run = (sql, ...values) => {
      saboteur.step();
      return run(sql, ...values);
    };
    saboteur.left = nth;
    const failed = await gcOf(room)
      .run(SIGNAL)
      .then(
        () => saboteur.left <= 0,
        () => true,
      );
    saboteur.left = Infinity;
    await expectWhole(room);
    await gcOf(room).run(SIGNAL);
    await expectWhole(room);
    // The next start, at the latest, has taken everything that belongs to nobody.
    await room.images.recover();
    const [used, ...others] = await room.images.list(EVERY_IMAGE);
    expect([used?.tags, others]).toEqual([['r.io/x/used:1'], []]);
    expect(room.layerTable.all()).toHaveLength(2);
    expect((await room.files()).blobs).toHaveLength(4);
    if (!failed) {
      expect(nth).toBeGreaterThan(10);
      return;
    }
  }
});
