import fc from 'fast-check';
import { SocketAddress } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  blockAround,
  containsAddress,
  containsBlock,
  formatAddress,
  formatBlock,
  lastOf,
  overlaps,
  parseAddress,
  parseCidr,
  sizeOf,
} from '../../../../../src/engine/network/ipam/ip.ts';
import type { Address, Block } from '../../../../../src/engine/network/ipam/ip.ts';

const anyAddress: fc.Arbitrary<Address> = fc.oneof(
  fc.record({ family: fc.constant('ipv4' as const), value: fc.bigInt(0n, 0xffff_ffffn) }),
  fc.record({
    family: fc.constant('ipv6' as const),
    // Mapped IPv4 addresses are read as what they map.
    value: fc.bigInt(0n, (1n << 128n) - 1n).filter((value) => value >> 32n !== 0xffffn),
  }),
);
const block = (text: string): Block => parseCidr(text)!.block;

describe('an address', () => {
  it('comes back from its text', () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  it('is written as the C library writes it', () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, (1n << 128n) - 1n).filter((value) => value >> 32n !== 0n && value >> 32n !== 0xffffn),
        (value) => {
          const text = formatAddress({ family: 'ipv6', value });
          expect(new SocketAddress({ address: text, family: 'ipv6' }).address).toBe(text);
        },
      ),
    );
  });

  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0:0:1:0:0:0:1', 'fd00:0:0:1::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::192.0.2.1', '2001:db8::c000:201'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
  ])('%s is %s', (text, canonical) => {
    expect(formatAddress(parseAddress(text)!)).toBe(canonical);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    'x',
    ':',
    ':::',
    'fe80::1%eth0',
    '1::2::3',
    '12345::',
  ])('is not %j', (text) => {
    expect(parseAddress(text)).toBe(null);
  });
});

describe('a block', () => {
  it.each([
    ['10.1.2.3/24', '10.1.2.0/24'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['fd00::1:2/64', 'fd00::/64'],
    ['::ffff:10.0.0.5/120', '10.0.0.0/24'],
  ])('%s lies in %s', (text, canonical) => {
    expect(formatBlock(block(text))).toBe(canonical);
  });

  it.each(['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8x', 'fd00::/129', '10.0.0.0/08'])(
    'is not %j',
    (text) => {
      expect(parseCidr(text)).toBe(null);
    },
  );

  it('holds its first and last address and the blocks around them, and no more', () => {
    fc.assert(
      fc.property(anyAddress, fc.nat(128), (address, length) => {
        const bits = address.family === 'ipv4' ? 32 : 128;
        const outer = blockAround(address, length % (bits + 1));
        const last = { ...address, value: lastOf(outer) };
        expect(containsAddress(outer, address)).toBe(true);
        expect(containsAddress(outer, last)).toBe(true);
        expect(containsAddress(outer, { ...address, value: lastOf(outer) + 1n })).toBe(false);
        expect(sizeOf(outer)).toBe(lastOf(outer) - outer.base + 1n);
        expect(containsBlock(outer, blockAround(last, bits))).toBe(true);
        expect(overlaps(outer, blockAround(last, bits))).toBe(true);
      }),
    );
  });

  it('of one family has nothing to do with one of the other', () => {
    expect(overlaps(block('0.0.0.0/0'), block('::/0'))).toBe(false);
    expect(containsAddress(block('::/0'), parseAddress('10.0.0.1')!)).toBe(false);
  });
});
