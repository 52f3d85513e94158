import { describe, expect, test } from 'vitest';
import { parseTimestamp, type Timestamp } from '../../../../src/base/clock.ts';
import { ConflictError, ForbiddenError, InternalError } from '../../../../src/base/errors.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import { createPrune } from '../../../../src/engine/prune/index.ts';
import { PRUNE_NOTHING, type PruneRequest } from '../../../../src/engine/prune/types.ts';
import type { PruneRooms } from '../../../../src/engine/prune/select.ts';
import { parseUntil } from '../../../../src/base/until.ts';
import { FakeBuilds } from '../../../support/fake-builds.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

interface FakeNetwork {
  readonly name: string;
  readonly endpoints?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly created?: string;
}

interface FakeContainer {
  readonly id: string;
  readonly imageId: string;
  readonly status?: string;
  readonly labels?: Record<string, string>;
  readonly created?: string;
}
interface FakeImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly layers: readonly (readonly [string, number])[];
  readonly labels?: Record<string, string>;
  readonly created?: string;
  readonly tagged?: string;
}
interface FakeVolume {
  readonly name: string;
  readonly anonymous?: boolean;
  readonly users?: readonly string[];
  readonly labels?: Record<string, string>;
}

const OLD = '2025-12-01T00:00:00Z';
const SIGNAL = new AbortController().signal;

/** Rooms with just what prune looks at; what is removed is recorded. */
function setUp(world: {
  readonly containers?: readonly FakeContainer[];
  readonly images?: readonly FakeImage[];
  readonly networks?: readonly FakeNetwork[];
  readonly volumes?: readonly FakeVolume[];
  readonly refuse?: Readonly<Record<string, Error>>;
}) {
  const removed: string[] = [];
  const remove = (name: string): void => {
    const refusal = world.refuse?.[name];
    if (refusal !== undefined) throw refusal;
    removed.push(name);
  };
  const rooms = {
    containers: {
      list: () =>
        (world.containers ?? []).map(({ id, imageId, status = 'exited', labels = {}, created = OLD }) => ({
          id,
          name: `name-${id}`,
          imageId,
          createdAt: timeOf(created),
          spec: { labels },
          state: { status },
        })),
      sizes: async () => ({ writableBytes: 10, rootBytes: 1000 }),
      remove: async (id: string) => remove(id),
    },
    images: {
      find: () => null,
      list: async () =>
        (world.images ?? []).map(({ id, tags, layers, labels = {}, created = OLD, tagged = OLD }) => ({
          id,
          tags,
          digests: [],
          layerChainIds: layers.map(([chainId]) => chainId),
          layerSizes: layers.map(([, bytes]) => bytes),
          lastTaggedAt: timeOf(tagged),
          parent: null,
          config: { created, config: { Labels: labels } },
        })),
      remove: async (reference: string) => {
        remove(reference);
        const image = (world.images ?? []).find(({ id, tags }) => id === reference || tags.at(-1) === reference);
        if (image === undefined) return [{ untagged: reference }];
        return [{ untagged: reference }, { deleted: image.id }, ...image.layers.map(([deleted]) => ({ deleted }))];
      },
    },
    volumes: {
      list: () =>
        (world.volumes ?? []).map(({ name, anonymous = false, labels = {} }) => ({
          name,
          anonymous,
          labels,
          createdAt: timeOf(OLD),
        })),
      usersOf: (name: string) => (world.volumes ?? []).find((volume) => volume.name === name)?.users ?? [],
      usage: async () => 100,
      remove: async (name: string) => remove(name),
    },
    networks: {
      list: () =>
        (world.networks ?? []).map(({ name, endpoints = 0, labels = {}, created = OLD }) => ({
          id: `id-${name}`,
          name,
          labels,
          createdAt: timeOf(created),
          endpoints: Array.from({ length: endpoints }),
        })),
      remove: async (id: string) => remove(id),
    },
    builds: new FakeBuilds(),
  } as unknown as PruneRooms;
  return {
    prune: createPrune({
      ...rooms,
      clock: new FakeClock(),
      logger: silentLogger,
      events: { publish: () => undefined },
    }),
    removed,
  };
}

function timeOf(text: string): Timestamp {
  const time = parseTimestamp(text);
  if (time === null) throw new Error(text);
  return time;
}

function requestOf(more: Partial<PruneRequest>): PruneRequest {
  return { ...PRUNE_NOTHING, ...more };
}

describe('networks', () => {
  const networks: readonly FakeNetwork[] = [
    { name: 'bridge' },
    { name: 'busy', endpoints: 1 },
    { name: 'free', labels: { ci: '1' } },
    { name: 'young', created: '2025-12-31T23:30:00Z' },
    { name: 'raced', labels: { ci: '2' } },
  ];
  const refuse = { 'id-raced': new ForbiddenError('error while removing network: network raced has active endpoints') };

  test.each<[string, Partial<PruneRequest>, readonly string[]]>([
    ['that nobody is plugged into', {}, ['id-free', 'id-young']],
    ['older than an hour', { until: '1h' }, ['id-free']],
    ['with a label', { labels: ['ci=1'] }, ['id-free']],
    ['without a label', { withoutLabels: ['ci'] }, ['id-young']],
    ['but by name', { keep: { labels: [], newestTags: null, names: ['fre?'] } }, ['id-young']],
  ])('%s', async (_what, more, expected) => {
    const { prune, removed } = setUp({ networks, refuse });
    const result = await prune.run(requestOf({ types: ['network'], ...more }), new AbortController().signal);
    expect(removed).toEqual(expected);
    expect(result.removed.map(({ id }) => id)).toEqual(expected);
  });
});

describe('containers', () => {
  const containers: readonly FakeContainer[] = [
    { id: 'c1', imageId: 'i1' },
    { id: 'c2', imageId: 'i1', status: 'running' },
    { id: 'c3', imageId: 'i1', status: 'created', labels: { keep: '1', tier: 'web' } },
    { id: 'c4', imageId: 'i1', status: 'dead', created: '2025-12-31T23:30:00Z' },
    { id: 'c5', imageId: 'i1', status: 'restarting' },
  ];

  test.each<[string, Partial<PruneRequest>, readonly string[]]>([
    ['what is stopped', {}, ['c1', 'c3', 'c4']],
    ['older than an hour', { until: '1h' }, ['c1', 'c3']],
    ['with a label', { labels: ['tier=web'] }, ['c3']],
    ['with another value', { labels: ['tier=db'] }, []],
    ['without a label', { withoutLabels: ['tier'] }, ['c1', 'c4']],
    ['but those to keep', { keep: { labels: ['keep'], newestTags: null } }, ['c1', 'c4']],
  ])('%s', async (_name, more, expected) => {
    const { prune, removed } = setUp({ containers });
    const request = requestOf({ types: ['container'], ...more });
    const preview = await prune.preview(request);
    expect(removed).toEqual([]);
    expect(preview.victims.map(({ id }) => id)).toEqual(expected);
    expect(preview.reclaimableBytes).toBe(10 * expected.length);
    const result = await prune.run(request, SIGNAL);
    expect(removed).toEqual(expected);
    expect(result).toMatchObject({ removed: preview.victims, reclaimedBytes: preview.reclaimableBytes });
  });
});

describe('images', () => {
  const base = ['base', 1000] as const;
  const images: readonly FakeImage[] = [
    { id: 'used', tags: ['app:2'], layers: [base, ['two', 20]] },
    { id: 'old', tags: ['app:1', 'other:1'], layers: [base, ['one', 10]] },
    { id: 'dangling', tags: [], layers: [base, ['none', 7]] },
    { id: 'twin', tags: [], layers: [base, ['none', 7], ['more', 1]] },
  ];
  const containers: readonly FakeContainer[] = [{ id: 'c', imageId: 'used' }];

  test('without a tag, each shared layer counted once and what stays not at all', async () => {
    const { prune, removed } = setUp({ images, containers });
    const preview = await prune.preview(requestOf({ types: ['image'] }));
    expect(preview).toEqual({
      victims: [
        { type: 'image', id: 'dangling', name: '', bytes: 7 },
        { type: 'image', id: 'twin', name: '', bytes: 1 },
      ],
      reclaimableBytes: 8,
    });
    const result = await prune.run(requestOf({ types: ['image'] }), SIGNAL);
    expect(removed).toEqual(['dangling', 'twin']);
    expect(result.imageRemovals[0]).toEqual({ untagged: 'dangling' });
  });

  test('with tags too, every tag of a victim goes', async () => {
    const { prune, removed } = setUp({ images, containers });
    const request = requestOf({ types: ['image'], danglingOnly: false });
    expect((await prune.preview(request)).victims.map(({ id, bytes }) => [id, bytes])).toEqual([
      ['old', 10],
      ['dangling', 7],
      ['twin', 1],
    ]);
    await prune.run(request, SIGNAL);
    expect(removed).toEqual(['app:1', 'other:1', 'dangling', 'twin']);
  });

  test('of containers that go with them are victims as well', async () => {
    const { prune, removed } = setUp({ images, containers });
    const request = requestOf({ types: ['image', 'container'], danglingOnly: false });
    const { victims } = await prune.preview(request);
    expect(victims.map(({ id }) => id)).toEqual(['c', 'used', 'old', 'dangling', 'twin']);
    await prune.run(request, SIGNAL);
    expect(removed.slice(0, 2)).toEqual(['c', 'app:2']);
  });

  test('the newest tags of each repository can be kept', async () => {
    const { prune } = setUp({
      images: [
        { id: 'a1', tags: ['a:1'], layers: [], tagged: '2025-12-01T00:00:00Z' },
        { id: 'a2', tags: ['a:2'], layers: [], tagged: '2025-12-02T00:00:00Z' },
        { id: 'a3', tags: ['a:3', 'b:1'], layers: [], tagged: '2025-12-03T00:00:00Z' },
        { id: 'r', tags: ['host:5000/r:1'], layers: [] },
      ],
    });
    const victims = async (newestTags: number): Promise<readonly string[]> => {
      const request = requestOf({ types: ['image'], danglingOnly: false, keep: { labels: [], newestTags } });
      return (await prune.preview(request)).victims.map(({ id }) => id);
    };
    expect(await victims(1)).toEqual(['a1', 'a2']);
    expect(await victims(2)).toEqual(['a1']);
    expect(await victims(0)).toEqual(['a1', 'a2', 'a3', 'r']);
  });
});

describe('volumes', () => {
  const volumes: readonly FakeVolume[] = [
    { name: 'anon', anonymous: true },
    { name: 'named' },
    { name: 'used', anonymous: true, users: ['c1'] },
    { name: 'shared', users: ['c1', 'c2'] },
  ];
  const containers: readonly FakeContainer[] = [
    { id: 'c1', imageId: 'i' },
    { id: 'c2', imageId: 'i', status: 'running' },
  ];

  test.each<[Partial<PruneRequest>, readonly string[]]>([
    [{ types: ['volume'] }, ['anon']],
    [{ types: ['volume'], namedVolumes: true }, ['anon', 'named']],
    [{ types: ['volume', 'container'] }, ['c1', 'anon', 'used']],
    [{ types: ['network', 'build-cache'] }, []],
  ])('%j takes %j', async (more, expected) => {
    const { prune, removed } = setUp({ volumes, containers });
    const { victims } = await prune.preview(requestOf(more));
    expect(victims.map(({ id }) => id)).toEqual(expected);
    await prune.run(requestOf(more), SIGNAL);
    expect(removed).toEqual(expected);
  });
});

describe('a run', () => {
  const volumes: readonly FakeVolume[] = ['v1', 'v2', 'v3'].map((name) => ({ name, anonymous: true }));

  test('passes over what came into use', async () => {
    const { prune } = setUp({ volumes, refuse: { v2: new ConflictError('volume is in use') } });
    const { removed, reclaimedBytes } = await prune.run(requestOf({ types: ['volume'] }), SIGNAL);
    expect([removed.map(({ id }) => id), reclaimedBytes]).toEqual([['v1', 'v3'], 200]);
  });

  test('tells of a real failure, and of what went before it', async () => {
    const { prune } = setUp({ volumes, refuse: { v2: new InternalError('the disk is broken') } });
    const told: string[] = [];
    const run = prune.run(requestOf({ types: ['volume'] }), SIGNAL, { onRemoved: ({ id }) => told.push(id) });
    await expect(run).rejects.toThrow('the disk is broken');
    expect(told).toEqual(['v1']);
  });

  test('stops at an abort', async () => {
    const { prune, removed } = setUp({ volumes });
    const stopping = new AbortController();
    const run = prune.run(requestOf({ types: ['volume'] }), stopping.signal, {
      onRemoved: () => stopping.abort(new Error('enough')),
    });
    await expect(run).rejects.toThrow('enough');
    expect(removed).toEqual(['v1']);
  });

  test('looks at nothing when the time means nothing', async () => {
    const { prune, removed } = setUp({ volumes });
    const run = prune.run(requestOf({ types: ['volume'], until: 'tomorrow' }), SIGNAL);
    await expect(run).rejects.toThrow('failed to parse value as time or duration: "tomorrow"');
    expect(removed).toEqual([]);
  });
});

describe('until', () => {
  const now = timeOf('2026-01-02T00:00:00Z');

  test.each([
    ['24h', '2026-01-01T00:00:00Z'],
    ['1h30m', '2026-01-01T22:30:00Z'],
    ['1.5h', '2026-01-01T22:30:00Z'],
    ['500ms', '2026-01-01T23:59:59.5Z'],
    ['1767225600', '2026-01-01T00:00:00Z'],
    ['1767225600.5', '2026-01-01T00:00:00.5Z'],
    ['2026-01-01', '2026-01-01T00:00:00Z'],
    ['2026-01-01T10:30', '2026-01-01T10:30:00Z'],
    ['2026-01-01T10:30:05', '2026-01-01T10:30:05Z'],
    ['2026-01-01T10:30:05.25+02:00', '2026-01-01T08:30:05.25Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseUntil(text, now)).toBe(timeOf(expected));
  });

  test.each(['', 'h', 'yesterday', '1d', '-1h', '2026-13-01', '24h!'])('%j is refused', (text) => {
    expect(() => parseUntil(text, now)).toThrow('failed to parse value as time or duration');
  });
});
