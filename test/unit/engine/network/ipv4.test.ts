import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  containsAddress,
  containsSubnet,
  formatIpv4,
  formatSubnet,
  lastOf,
  overlaps,
  parseCidr,
  parseIpv4,
  sizeOf,
  subnetOf,
} from '../../../../src/engine/network/ipv4.ts';

const address = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const subnet = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([base, length]) => subnetOf(base, length));

describe('IPv4 text', () => {
  it('comes back as it went', () => {
    fc.assert(fc.property(address, (value) => parseIpv4(formatIpv4(value)) === value));
  });

  it.each(['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.4 ', '-1.2.3.4', '::1', 'zz'])(
    'refuses %j',
    (text) => {
      expect(parseIpv4(text)).toBeNull();
    },
  );

  it('reads a CIDR as the address and its block', () => {
    expect(parseCidr('172.17.0.1/16')).toEqual({
      address: 0xac11_0001,
      subnet: { base: 0xac11_0000, prefixLength: 16 },
    });
    for (const text of ['1.2.3.4', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/a', '/8', 'fe80::/10', '1.2.3.4/ 8']) {
      expect(parseCidr(text)).toBeNull();
    }
  });
});

describe('blocks', () => {
  it('hold exactly their addresses', () => {
    fc.assert(
      fc.property(subnet, address, (block, value) => {
        expect(containsAddress(block, value)).toBe(subnetOf(value, block.prefixLength).base === block.base);
        expect(lastOf(block) - block.base + 1).toBe(sizeOf(block));
      }),
    );
  });

  it('overlap both ways alike, and only when one holds the other', () => {
    fc.assert(
      fc.property(subnet, subnet, (a, b) => {
        expect(overlaps(a, b)).toBe(overlaps(b, a));
        expect(overlaps(a, b)).toBe(containsSubnet(a, b) || containsSubnet(b, a));
      }),
    );
  });

  it('print as CIDR', () => {
    fc.assert(
      fc.property(subnet, (block) => {
        expect(parseCidr(formatSubnet(block))?.subnet).toEqual(block);
      }),
    );
  });
});
