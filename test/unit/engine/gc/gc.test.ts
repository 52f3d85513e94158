import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { ConflictError } from '../../../../src/base/errors.ts';
import { silentLogger, type LogFields, type Logger } from '../../../../src/base/logger.ts';
import type { EngineEvent } from '../../../../src/engine/events/types.ts';
import { createImageGc, type EngineImageGc, type ImageGcDependencies } from '../../../../src/engine/gc/index.ts';
import { withRoomFirst } from '../../../../src/engine/gc/room-first.ts';
import type { ImageGcRules } from '../../../../src/engine/gc/types.ts';
import { createPrune } from '../../../../src/engine/prune/index.ts';
import type { PruneRooms } from '../../../../src/engine/prune/select.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const HOUR = 3_600_000_000_000n;
const SIGNAL = new AbortController().signal;
const DISK_BYTES = 1000;

interface FakeImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly hoursUnused: number;
  readonly bytes: number;
  readonly labels?: Record<string, string>;
}

interface World {
  images: FakeImage[];
  readonly containers: { readonly id: string; readonly imageId: string; readonly status: string }[];
  /** Of what is no image. */
  otherBytes: number;
  /** Of that, what builds keep beyond their limits. */
  cacheBytes: number;
  /** Called before each removal of a reference. */
  onRemove: (reference: string) => void;
}

const RULES: ImageGcRules = {
  isOn: true,
  isDryRun: false,
  unusedFor: '720h',
  keepNewestTags: 0,
  keepLabels: ['org.moored.keep'],
  space: { highPercent: 85, lowPercent: 80 },
};

function worldOf(images: readonly FakeImage[], more: Partial<World> = {}): World {
  return { images: [...images], containers: [], otherBytes: 0, cacheBytes: 0, onRemove: () => undefined, ...more };
}

function setUp(world: World, rules: Partial<ImageGcRules> = {}) {
  const clock = new FakeClock();
  const touched: string[] = [];
  const lines: LogFields[] = [];
  const listeners = new Set<(event: EngineEvent) => void>();
  const note = (_text: string, fields: LogFields = {}): void => void lines.push(fields);
  const logger: Logger = { ...silentLogger, info: note, warn: note };
  const sizes = new Map(world.images.map(({ id, bytes }) => [id, bytes]));
  const remove = async (reference: string) => {
    world.onRemove(reference);
    const image = world.images.find(({ id, tags }) => id === reference || tags.includes(reference));
    if (image === undefined) throw new Error(`no image ${reference}`);
    if (world.containers.some(({ imageId }) => imageId === image.id)) throw new ConflictError('in use');
    const tags = image.tags.filter((tag) => tag !== reference);
    world.images = world.images.flatMap((one) => (one !== image ? [one] : tags.length === 0 ? [] : [{ ...one, tags }]));
    return tags.length === 0
      ? [{ untagged: reference }, { deleted: image.id }, { deleted: `layer-${image.id}` }]
      : [{ untagged: reference }];
  };
  const rooms = {
    containers: {
      list: () =>
        world.containers.map(({ id, imageId, status }) => ({
          id,
          name: id,
          imageId,
          state: { status },
          spec: { labels: {} },
          createdAt: 0n,
        })),
      get: (id: string) => world.containers.find((one) => one.id === id),
      sizes: async () => ({ writableBytes: 0, rootBytes: 0 }),
      remove: async () => undefined,
    },
    images: {
      find: () => null,
      list: async () =>
        world.images.map(({ id, tags, hoursUnused, bytes, labels = {} }) => ({
          id,
          tags,
          digests: [],
          layerChainIds: [`layer-${id}`],
          layerSizes: [bytes],
          lastTaggedAt: (clock.now() - BigInt(hoursUnused) * HOUR) as Timestamp,
          config: { config: { Labels: labels } },
        })),
      remove,
      lastUses: () =>
        new Map(world.images.map(({ id, hoursUnused }) => [id, clock.now() - BigInt(hoursUnused) * HOUR])),
      touch: (ref: string) => void touched.push(ref),
      collectLeftovers: async () => undefined,
    },
    volumes: { list: () => [] },
  };
  const prune = createPrune({
    ...(rooms as unknown as PruneRooms),
    clock,
    logger: silentLogger,
    events: { publish: () => undefined },
  });
  const gc: EngineImageGc = createImageGc({
    ...(rooms as unknown as Pick<ImageGcDependencies, 'containers' | 'images'>),
    prune,
    builds: {
      async collectCache() {
        world.otherBytes -= world.cacheBytes;
        world.cacheBytes = 0;
      },
    },
    clock,
    logger,
    events: {
      listen: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    },
    diskUsage: async () => ({
      usedBytes: world.otherBytes + world.images.reduce((sum, { id }) => sum + (sizes.get(id) ?? 0), 0),
      totalBytes: DISK_BYTES,
    }),
    rules: { ...RULES, ...rules },
  });
  const tell = (event: Partial<EngineEvent>): void => {
    for (const listener of listeners) {
      listener({ type: 'image', action: '', actorId: '', attributes: {}, time: clock.now(), ...event });
    }
  };
  const left = (): readonly string[] => world.images.map(({ id }) => id);
  const reasons = (): readonly (readonly [unknown, unknown])[] =>
    lines.filter(({ message }) => message === 'image-gc-remove').map(({ imageId, reason }) => [imageId, reason]);
  return { gc, left, lines, reasons, tell, touched, clock };
}

const image = (id: string, hoursUnused: number, more: Partial<FakeImage> = {}): FakeImage => ({
  id,
  tags: [`${id}:latest`],
  hoursUnused,
  bytes: 100,
  ...more,
});

describe('by age', () => {
  it('takes what nobody has used for so long, whatever it is called', async () => {
    const { gc, left, reasons } = setUp(
      worldOf([
        image('old', 721),
        image('new', 719),
        image('nameless', 2000, { tags: [] }),
        image('two', 800, { tags: ['a:1', 'b:1'] }),
      ]),
    );
    const { removed } = await gc.run(SIGNAL);
    expect(left()).toEqual(['new']);
    expect(removed.map(({ id }) => id)).toEqual(['nameless', 'two', 'old']);
    expect(reasons()).toEqual([
      ['nameless', 'unused'],
      ['two', 'unused'],
      ['old', 'unused'],
    ]);
  });

  it('keeps what a container has, running or not, what a label protects, and the newest tags', async () => {
    const { gc, left } = setUp(
      worldOf(
        [
          image('run', 999),
          image('stopped', 999),
          image('kept', 999, { labels: { 'org.moored.keep': '' } }),
          image('v1', 999, { tags: ['app:1'] }),
          image('v2', 998, { tags: ['app:2'] }),
        ],
        {
          containers: [
            { id: 'c1', imageId: 'run', status: 'running' },
            { id: 'c2', imageId: 'stopped', status: 'exited' },
          ],
        },
      ),
      { keepNewestTags: 1 },
    );
    await gc.run(SIGNAL);
    expect(left()).toEqual(['run', 'stopped', 'kept', 'v2']);
  });

  it('is no reason where the age is never', async () => {
    const { gc, left } = setUp(worldOf([image('old', 99_999)]), { unusedFor: null });
    expect(await gc.run(SIGNAL)).toEqual({ removed: [], reclaimedBytes: 0 });
    expect(left()).toEqual(['old']);
  });

  it('passes over what came into use meanwhile', async () => {
    const world = worldOf([image('a', 999), image('b', 998)]);
    world.onRemove = (reference) => {
      if (reference === 'a:latest') world.containers.push({ id: 'c', imageId: 'b', status: 'created' });
    };
    const { gc, left } = setUp(world);
    const { removed } = await gc.run(SIGNAL);
    expect(left()).toEqual(['b']);
    expect(removed.map(({ id }) => id)).toEqual(['a']);
  });
});

describe('for space', () => {
  const full = (): World =>
    worldOf([image('young', 1), image('older', 3), image('oldest', 5), image('fresh', 0)], { otherBytes: 480 });

  it('takes the least recently used first, down to the low mark and no further', async () => {
    const { gc, left, reasons } = setUp(full());
    await gc.run(SIGNAL);
    expect(left()).toEqual(['young', 'older', 'fresh']);
    expect(reasons()).toEqual([['oldest', 'space']]);
  });

  it('takes what builds keep beyond their limits before any image', async () => {
    const { gc, left } = setUp(worldOf([image('oldest', 5)], { otherBytes: 800, cacheBytes: 500 }));
    await gc.run(SIGNAL);
    expect(left()).toEqual(['oldest']);
  });

  it('does nothing below the high mark', async () => {
    const { gc, left } = setUp(worldOf([image('oldest', 5)], { otherBytes: 740 }));
    await gc.run(SIGNAL);
    await gc.relieve();
    expect(left()).toEqual(['oldest']);
  });

  it('takes the newest tags last, and never what is protected, used or fresh; it says when that is not enough', async () => {
    const world = worldOf(
      [
        image('tag1', 9, { tags: ['app:1'] }),
        image('tag2', 50, { tags: ['lib:1'], labels: { 'org.moored.keep': 'x' } }),
        image('other', 2, { tags: [] }),
        image('fresh', 0),
        image('used', 99),
      ],
      { otherBytes: 900, containers: [{ id: 'c', imageId: 'used', status: 'exited' }] },
    );
    const { gc, left, reasons, lines } = setUp(world, { keepNewestTags: 1 });
    await gc.run(SIGNAL);
    expect(reasons().map(([id]) => id)).toEqual(['other', 'tag1']);
    expect(left()).toEqual(['tag2', 'fresh', 'used']);
    await gc.relieve();
    expect(lines.filter(({ message }) => message === 'image-gc-short')).toHaveLength(1);
  });

  it('comes before and after whatever brings content in', async () => {
    const world = full();
    const { gc, left, tell } = setUp(world);
    const order: string[] = [];
    const images = withRoomFirst(
      { pull: async () => void order.push(`pull with ${String(left().length)}`) } as never,
      gc,
    ) as { pull: (reference: string, options: object) => Promise<void> };
    await images.pull('x', {});
    expect(order).toEqual(['pull with 3']);
    world.images.push(image('pulled', 0), image('pulled2', 0));
    world.otherBytes += 200;
    tell({ action: 'pull', actorId: 'pulled:latest' });
    // What the event began is joined.
    await gc.relieve();
    expect(left()).toEqual(['fresh', 'pulled', 'pulled2']);
  });

  it.each<[string, Partial<ImageGcRules>]>([
    ['it is off', { isOn: false }],
    ['it is a dry run', { isDryRun: true }],
    ['the disk may fill', { space: null }],
  ])('never comes by itself when %s', async (_name, rules) => {
    const { gc, left } = setUp(full(), rules);
    await gc.relieve();
    expect(left()).toHaveLength(4);
  });

  it('lets a pull go on when it fails', async () => {
    const world = full();
    world.onRemove = () => {
      throw new Error('the disk is broken');
    };
    const { gc, lines } = setUp(world);
    await gc.relieve();
    expect(lines.map(({ error }) => error)).toContain('the disk is broken');
  });
});

describe('a preview', () => {
  it('shows what a run right after it takes, with the reasons', async () => {
    const world = worldOf([image('a', 999), image('b', 4), image('c', 3), image('d', 1)], { otherBytes: 600 });
    const { gc, reasons } = setUp(world);
    const { victims, reclaimableBytes } = await gc.preview();
    expect(victims.map(({ id, reason }) => [id, reason])).toEqual([
      ['a', 'unused'],
      ['b', 'space'],
    ]);
    expect(reclaimableBytes).toBe(200);
    expect(world.images).toHaveLength(4);
    const { removed } = await gc.run(SIGNAL);
    expect(removed.map(({ id }) => id)).toEqual(victims.slice(0, removed.length).map(({ id }) => id));
    expect(reasons()[0]).toEqual(['a', 'unused']);
  });
});

describe('whatever there is', () => {
  /** A small generator of numbers: the same worlds each time. */
  function* numbers(seed: number): Generator<number, never> {
    let state = seed;
    for (;;) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      yield state;
    }
  }

  it('never takes what a container uses or a label protects', async () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = numbers(seed);
      const below = (limit: number): number => random.next().value % limit;
      const images = Array.from({ length: below(12) }, (_, index) =>
        image(`i${String(index)}`, below(1500), {
          tags: Array.from({ length: below(3) }, (_tag, n) => `repo${String(below(4))}:${String(index)}-${String(n)}`),
          bytes: 10 + below(200),
          ...(below(4) === 0 ? { labels: { 'org.moored.keep': String(below(2)) } } : {}),
        }),
      );
      const containers = images
        .filter(() => below(3) === 0)
        .map(({ id }) => ({ id: `c-${id}`, imageId: id, status: ['running', 'exited', 'created'][below(3)] ?? '' }));
      const safe = images.filter(
        ({ id, labels }) => labels !== undefined || containers.some(({ imageId }) => imageId === id),
      );
      const { gc, left } = setUp(worldOf(images, { containers, otherBytes: below(1200) }), {
        keepNewestTags: below(3),
        unusedFor: below(2) === 0 ? null : '100h',
      });
      await gc.run(SIGNAL);
      expect(left()).toEqual(expect.arrayContaining(safe.map(({ id }) => id)));
    }
  });
});

describe('uses', () => {
  it('are noted for what images do and what their containers do', () => {
    const world = worldOf([], { containers: [{ id: 'before', imageId: 'sha256:1', status: 'exited' }] });
    const { tell, touched } = setUp(world);
    tell({ action: 'pull', actorId: 'busybox:latest' });
    tell({ action: 'delete', actorId: 'sha256:9' });
    tell({ type: 'container', action: 'start', actorId: 'before' });
    world.containers.push({ id: 'now', imageId: 'sha256:2', status: 'created' });
    tell({ type: 'container', action: 'create', actorId: 'now' });
    tell({ type: 'container', action: 'exec_start', actorId: 'now' });
    tell({ type: 'container', action: 'destroy', actorId: 'now' });
    tell({ type: 'container', action: 'die', actorId: 'now' });
    tell({ type: 'network', action: 'create', actorId: 'n' });
    expect(touched).toEqual(['busybox:latest', 'sha256:1', 'sha256:2', 'sha256:2']);
  });
});

it('one collection waits for another, and an aborted one takes nothing more', async () => {
  const { gc, left } = setUp(worldOf([image('a', 999), image('b', 998)]));
  const stop = new AbortController();
  const first = gc.run(stop.signal, () => stop.abort(new Error('enough')));
  const second = gc.run(SIGNAL);
  await expect(first).rejects.toThrow('enough');
  expect((await second).removed.map(({ id }) => id)).toEqual(['b']);
  expect(left()).toEqual([]);
});
