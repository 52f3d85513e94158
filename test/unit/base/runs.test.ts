import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packRuns, unpackRuns } from '../../../src/base/runs.ts';

interface Entry {
  readonly name: string;
  readonly port: number;
}

const shift = (entry: Entry, by: number): Entry => ({ ...entry, port: entry.port + by });
const equal = (a: Entry, b: Entry): boolean => a.name === b.name && a.port === b.port;
const entries = (count: number, ...names: readonly string[]): readonly Entry[] =>
  Array.from({ length: count }, (_, by) => names.map((name) => ({ name, port: 80 + by }))).flat();

describe('lists that count upwards', () => {
  it.each([
    [5000, ['a']],
    [5000, ['a', 'b']],
  ])('are one run: %i of %j', (count, names) => {
    const list = entries(count, ...names);
    const packed = packRuns(list, shift, equal);
    expect(packed).toEqual([{ run: entries(1, ...names), times: count }]);
    expect(unpackRuns(packed, shift)).toEqual(list);
  });

  it('stay as they are when short', () => {
    expect(packRuns(entries(3, 'a', 'b'), shift, equal)).toEqual(entries(3, 'a', 'b'));
    expect(unpackRuns(entries(3, 'a', 'b'), shift)).toEqual(entries(3, 'a', 'b'));
  });

  it('come back whatever is in them', () => {
    const piece = fc
      .record({ names: fc.subarray(['a', 'b', 'c'], { minLength: 1 }), count: fc.nat(8), from: fc.nat(5) })
      .map(({ names, count, from }) => entries(count, ...names).map((entry) => shift(entry, from)));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const list = pieces.flat();
        expect(unpackRuns(packRuns(list, shift, equal), shift)).toEqual(list);
      }),
    );
  });
});
