import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressSet } from '../../../../../src/engine/network/ipam/address-set.ts';

const LAST = 20n;
const value = fc.bigInt(0n, LAST);
const all = Array.from({ length: Number(LAST) + 1 }, (_, index) => BigInt(index));

describe('a set of addresses', () => {
  it('does what a plain set does', () => {
    const deed = fc.record({ verb: fc.constantFrom('add', 'delete'), value });
    fc.assert(
      fc.property(fc.array(value), fc.array(deed), value, (first, deeds, from) => {
        const [set, plain] = [AddressSet.of(first), new Set(first)];
        for (const { verb, value: each } of deeds) {
          if (verb === 'add') {
            expect(set.add(each)).toBe(!plain.has(each));
            plain.add(each);
          } else expect(set.delete(each)).toBe(plain.delete(each));
        }
        expect(all.filter((each) => set.has(each))).toEqual(all.filter((each) => plain.has(each)));
        expect(set.lowestFree(from, LAST)).toBe(all.find((each) => each >= from && !plain.has(each)) ?? null);
      }),
    );
  });

  it('finds a free address among 65,000 at once, wherever it is', () => {
    const set = AddressSet.of(Array.from({ length: 65_000 }, (_, index) => BigInt(index)));
    for (const hole of [0n, 31_000n, 64_999n]) {
      set.delete(hole);
      expect(set.lowestFree(0n, 64_999n)).toBe(hole);
      set.add(hole);
    }
    expect(set.lowestFree(0n, 64_999n)).toBe(null);
  });
});
