import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { victimsOf } from '../../../../src/engine/build/cache/prune.ts';
import { usualRules } from '../../../../src/engine/build/cache/bounds.ts';
import type { BuildCacheEntry, CachePruneRequest } from '../../../../src/engine/build/types.ts';

const HOUR_NS = 3600n * 1_000_000_000n;
const NOW = (1000n * HOUR_NS) as Timestamp;

/** Used `age` hours ago. */
const entry = (id: string, age: bigint, change: Partial<BuildCacheEntry> = {}): BuildCacheEntry => ({
  id,
  parents: [],
  kind: 'regular',
  description: `RUN ${id}`,
  sizeBytes: 10,
  createdAt: 0n as Timestamp,
  lastUsedAt: (NOW - age * HOUR_NS) as Timestamp,
  uses: 0,
  inUse: false,
  shared: false,
  ...change,
});

const prune = (entries: readonly BuildCacheEntry[], change: Partial<CachePruneRequest> = {}): readonly string[] => {
  const request = { all: false, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, until: null };
  const victims = victimsOf(entries, { ...request, filters: new Map(), ...change }, { now: NOW, freeBytes: 100 });
  return victims.map(({ id }) => id);
};

describe('pruning the build cache', () => {
  const ALL = [
    entry('old', 9n),
    entry('child', 8n, { parents: ['old'] }),
    entry('shared', 7n, { shared: true }),
    entry('busy', 6n, { inUse: true }),
    entry('mount', 1n, { kind: 'exec.cachemount' }),
  ];

  it('takes what nobody shares or uses, the least used first, nothing before what stands on it', () => {
    expect(prune(ALL)).toEqual(['child', 'mount', 'old']);
    expect(prune(ALL, { all: true })).toEqual(['child', 'shared', 'mount', 'old']);
  });

  it('leaves a parent whose child stays', () => {
    expect(prune(ALL, { until: '8h30m' })).toEqual([]);
    expect(prune(ALL, { until: '7h30m' })).toEqual(['child', 'old']);
    expect(() => prune(ALL, { until: 'x' })).toThrow(/failed to parse value/);
  });

  it.each([
    [{ keepBytes: 30 }, ['child']],
    [{ maxUsedBytes: 20 }, ['child', 'mount']],
    [{ maxUsedBytes: 20, keepBytes: 30 }, ['child']],
    [{ minFreeBytes: 110 }, ['child']],
    [{ minFreeBytes: 50 }, []],
    [{ keepBytes: 1000 }, []],
  ] as const)('goes on until enough is free: %j', (bounds, expected) => {
    expect(prune(ALL, bounds)).toEqual(expected);
  });

  it.each([
    ['id', 'moun', ['mount']],
    ['type', 'exec.cachemount', ['mount']],
    ['parent', 'old', ['child']],
    ['description', 'RUN mount', ['mount']],
    ['mutable', 'true', ['mount']],
    ['immutable', '', ['child', 'old']],
    ['private', 'false', []],
    ['inuse', 'true', []],
  ])('filters by %s=%s', (name, value, expected) => {
    expect(prune(ALL, { filters: new Map([[name, [value]]]) })).toEqual(expected);
  });

  it('refuses filters that it does not know, and two values', () => {
    expect(() => prune(ALL, { filters: new Map([['x', ['1']]]) })).toThrow("invalid filter 'x'");
    expect(() => prune(ALL, { filters: new Map([['id', ['a', 'b']]]) })).toThrow('filters expect only one value');
  });
});

describe('the usual limits', () => {
  const GIGA = 2 ** 30;
  const none = { kind: 'usual', reservedBytes: null, maxUsedBytes: null, minFreeBytes: null } as const;

  it('are BuildKit’s parts of the disk', () => {
    const bounds = { keepBytes: 11e9, maxUsedBytes: 81e9, minFreeBytes: 21e9 };
    const [shortLived, ...others] = usualRules(none, 100 * GIGA);
    expect(shortLived).toMatchObject({ until: '48h', keepBytes: null, maxUsedBytes: 1519933825 });
    expect(shortLived?.filters.get('type')).toEqual(['exec.cachemount']);
    expect(others).toMatchObject([
      { ...bounds, until: '1440h', all: false },
      { ...bounds, until: null, all: false },
      { ...bounds, until: null, all: true },
    ]);
  });

  it('are what is said of them, and nothing of the disk then', () => {
    const rules = usualRules({ ...none, reservedBytes: 25 }, 100 * GIGA);
    expect(rules.slice(1)).toMatchObject(
      rules.slice(1).map(() => ({ keepBytes: 25, maxUsedBytes: null, minFreeBytes: null })),
    );
    const entries = [entry('a', 9n), entry('b', 8n), entry('c', 7n, { kind: 'exec.cachemount' })];
    expect(prune(entries, rules.at(-1))).toEqual(['a']);
    expect(prune(entries, rules[0])).toEqual([]);
  });
});
