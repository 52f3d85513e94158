import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choosePool, DEFAULT_ADDRESS_POOLS, withUniqueLocal } from '../../../../../src/engine/network/ipam/blocks.ts';
import { containsBlock, formatBlock, overlaps } from '../../../../../src/engine/network/ipam/ip.ts';
import { blockOf } from '../../../../../src/engine/network/ipam/pool.ts';

const blocks = (...cidrs: readonly string[]) => cidrs.map(blockOf);
const choose = (taken: readonly string[], preferred: string | null = null) =>
  formatBlock(
    choosePool('ipv4', DEFAULT_ADDRESS_POOLS, blocks(...taken), preferred === null ? null : blockOf(preferred)),
  );

describe('the choice of a pool', () => {
  it("follows dockerd's order", () => {
    expect(choose([])).toBe('172.17.0.0/16');
    expect(choose(['172.17.0.0/16'])).toBe('172.18.0.0/16');
    expect(choose(['172.16.0.0/14'])).toBe('172.20.0.0/16');
    expect(choose(['172.16.0.0/12'])).toBe('192.168.0.0/20');
    expect(choose(['172.16.0.0/12', '192.168.3.0/24'])).toBe('192.168.16.0/20');
  });

  it('keeps clear of a single address, such as a name server', () => {
    expect(choose(['172.17.0.53/32'])).toBe('172.18.0.0/16');
  });

  it('stays with the pool of the last run while nobody else has it', () => {
    expect(choose([], '172.25.0.0/16')).toBe('172.25.0.0/16');
    expect(choose(['172.25.4.0/24'], '172.25.0.0/16')).toBe('172.17.0.0/16');
  });

  it("says so in dockerd's words when nothing is left", () => {
    expect(() => choose(['172.16.0.0/12', '192.168.0.0/16'])).toThrow(
      'all predefined address pools have been fully subnetted',
    );
    expect(() => choosePool('ipv6', DEFAULT_ADDRESS_POOLS, [])).toThrow('all predefined address pools');
  });

  it('gives the blocks that the administrator named', () => {
    const own = [{ base: '10.10.0.0/22', prefixLength: 24 }];
    expect(formatBlock(choosePool('ipv4', own, blocks('10.10.0.0/24')))).toBe('10.10.1.0/24');
    expect(() => choosePool('ipv4', [{ base: '10.0.0.0/24', prefixLength: 16 }], [])).toThrow(
      'invalid default address pool: base 10.0.0.0/24, size 16',
    );
    expect(() => choosePool('ipv4', [{ base: 'x', prefixLength: 16 }], [])).toThrow('invalid default address pool');
  });

  it('finds the lowest place whenever there is one, whatever is taken', () => {
    const number = fc.nat(255);
    const taken = fc.array(fc.record({ number, length: fc.integer({ min: 25, max: 32 }) }), { maxLength: 40 });
    fc.assert(
      fc.property(taken, fc.integer({ min: 25, max: 30 }), (others, prefixLength) => {
        const rest = others.map(({ number: low, length }) => blockOf(`10.0.0.${String(low)}/${String(length)}`));
        const count = 2 ** (prefixLength - 24);
        const all = Array.from({ length: count }, (_, index) =>
          blockOf(`10.0.0.${String(index * (256 / count))}/${String(prefixLength)}`),
        );
        const expected = all.find((candidate) => !rest.some((other) => overlaps(other, candidate))) ?? null;
        const find = () => choosePool('ipv4', [{ base: '10.0.0.0/24', prefixLength }], rest);
        if (expected === null) expect(find).toThrow('fully subnetted');
        else expect(find()).toEqual(expected);
      }),
    );
  });
});

describe('unique local addresses', () => {
  it("follow from the engine's id as dockerd's do", () => {
    // The values of dockerd 28's own test.
    const known = '499d4bc0-b0b3-416f-b1ee-cf6486315593';
    expect(withUniqueLocal([], known)).toEqual([{ base: 'fd62:fb69:18af::/48', prefixLength: 64 }]);
    expect(withUniqueLocal([], '')).toEqual([{ base: 'fd42:98fc:1c14::/48', prefixLength: 64 }]);
  });

  it('are added only where no IPv6 block is named', () => {
    const own = [{ base: 'fd77::/56', prefixLength: 64 }];
    expect(withUniqueLocal(own, 'x')).toEqual(own);
    const [ula] = withUniqueLocal(DEFAULT_ADDRESS_POOLS, 'x').slice(-1);
    const first = choosePool('ipv6', [ula!], []);
    expect(containsBlock(blockOf('fd00::/8'), first)).toBe(true);
    expect(choosePool('ipv6', [ula!], [first]).base - first.base).toBe(1n << 64n);
  });
});
