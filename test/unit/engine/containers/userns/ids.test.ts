import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { common, freeRun, mappingOfRun, without } from '../../../../../src/engine/containers/userns/pool.ts';
import {
  mappingOf,
  parseSubordinateIds,
  runsOf,
  type IdRun,
} from '../../../../../src/engine/containers/userns/subordinate.ts';
import { idInside, idOnHost, sameMapping } from '../../../../../src/engine/oci/id-mapping.ts';

const USER = { name: 'ann', id: 1000 };

describe('subuid and subgid', () => {
  it('name a user or a number; comments and empty lines do not count', () => {
    const text = '# ids\n\nann:100000:65536\n1000:300000:10\nbob:200000:65536\n';
    expect(runsOf(parseSubordinateIds(text, '/etc/subuid'), USER)).toEqual([
      { first: 100_000, count: 65_536 },
      { first: 300_000, count: 10 },
    ]);
  });

  it.each(['ann:1', 'ann:x:1', 'ann:1:', ':1:1', 'ann:1:1:1', 'ann:-1:5'])('%j is no line of such a file', (line) => {
    expect(() => parseSubordinateIds(line, '/etc/subuid')).toThrow(
      'cannot parse subuid/gid information. Format not correct for /etc/subuid file',
    );
  });

  it('lay their ranges side by side, lowest first', () => {
    const files = { subuid: 'ann:300000:10\nann:100000:5\n', subgid: 'ann:7000:3' };
    expect(mappingOf(USER, files)).toEqual({
      uids: [
        { containerID: 0, hostID: 100_000, size: 5 },
        { containerID: 5, hostID: 300_000, size: 10 },
      ],
      gids: [{ containerID: 0, hostID: 7000, size: 3 }],
    });
  });

  it.each([
    [{ subuid: '', subgid: 'ann:1:1' }, 'no subuid ranges found for user "ann"'],
    [{ subuid: 'ann:1:1', subgid: 'bob:1:1' }, 'no subgid ranges found for user "ann"'],
  ])('that give nothing are told: %j', (files, message) => {
    expect(() => mappingOf(USER, files)).toThrow(`Can't create ID mappings: ${message}`);
  });
});

const run = fc.record({ first: fc.integer({ min: 1, max: 2000 }), count: fc.integer({ min: 1, max: 300 }) });
const has = (runs: readonly IdRun[], id: number): boolean =>
  runs.some(({ first, count }) => id >= first && id < first + count);

describe('runs of ids', () => {
  it('take away and share exactly what they should', () => {
    fc.assert(
      fc.property(fc.array(run, { maxLength: 6 }), fc.array(run, { maxLength: 6 }), (runs, others) => {
        const [left, both] = [without(runs, others), common(runs, others)];
        const ids = Array.from({ length: 2400 }, (_, id) => id);
        expect(ids.filter((id) => has(left, id) !== (has(runs, id) && !has(others, id)))).toEqual([]);
        expect(ids.filter((id) => has(both, id) !== (has(runs, id) && has(others, id)))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('handed out and given back in any order never overlap, and all of the pool can be had again', () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 90 }) }),
      fc.record({ giveBack: fc.integer({ min: 0, max: 50 }) }),
    );
    const pool = [
      { first: 1000, count: 200 },
      { first: 5000, count: 100 },
    ];
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const taken: IdRun[] = [];
        for (const one of steps) {
          if ('giveBack' in one) {
            if (taken.length > 0) taken.splice(one.giveBack % taken.length, 1);
            continue;
          }
          const lease = freeRun(pool, taken, one.take);
          if (lease === null) {
            expect(without(pool, taken).every(({ count }) => count < one.take)).toBe(true);
            continue;
          }
          expect(lease.count).toBe(one.take);
          expect(without([lease], pool)).toEqual([]);
          expect(common([lease], taken)).toEqual([]);
          taken.push(lease);
        }
        expect(freeRun(pool, [], 200)).toEqual({ first: 1000, count: 200 });
      }),
      { numRuns: 200 },
    );
  });

  it('are handed out as low as they are free, and not at all when no gap is as large', () => {
    const pool = [{ first: 100, count: 30 }];
    expect(freeRun(pool, [{ first: 100, count: 10 }], 10)).toEqual({ first: 110, count: 10 });
    expect(freeRun(pool, [{ first: 110, count: 10 }], 10)).toEqual({ first: 100, count: 10 });
    expect(freeRun(pool, [{ first: 105, count: 10 }], 16)).toBeNull();
  });
});

describe('a mapping', () => {
  const mapping = mappingOfRun({ first: 500, count: 10 });

  it('leads both ways, and nowhere outside', () => {
    expect(idOnHost(mapping.uids, 3)).toBe(503);
    expect(idOnHost(mapping.uids, 10)).toBeNull();
    expect(idInside(mapping.gids, 509)).toBe(9);
    expect(idInside(mapping.gids, 0)).toBeNull();
  });

  it('is like another with the same ids', () => {
    expect(sameMapping(mapping, mappingOfRun({ first: 500, count: 10 }))).toBe(true);
    expect(sameMapping(mapping, mappingOfRun({ first: 501, count: 10 }))).toBe(false);
  });
});
