import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { broadcastOf, decodeAddress, encodeAddress, parseCidr } from '../../../../src/engine/kernel/linux/addresses.ts';
import {
  attribute,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  textAttribute,
  textOf,
  u32Attribute,
  u32Of,
} from '../../../../src/engine/kernel/linux/netlink-codec.ts';

describe('addresses', () => {
  it.each([
    ['172.17.0.1', '172.17.0.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['FE80::42:AFF:fe00:2', 'fe80::42:aff:fe00:2'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['fd00:0:0:1::', 'fd00:0:0:1::'],
  ])('reads %s and writes %s', (text, canonical) => {
    expect(decodeAddress(encodeAddress(text))).toBe(canonical);
  });

  it('gives back every address, in the form that others write too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 16 }), (bytes, zeros) => {
        const address = Buffer.from(bytes).fill(0, zeros > 12 ? 0 : zeros, Math.min(16, zeros + 4));
        const text = decodeAddress(address);
        expect(isIPv6(text)).toBe(true);
        expect(encodeAddress(text)).toEqual(address);
        expect(`[${text}]`).toBe(new URL(`http://[${text}]`).hostname);
      }),
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(decodeAddress(encodeAddress(text))).toBe(text);
      }),
    );
  });

  it.each(['', '1.2.3', '1.2.3.4/33', '1.2.3.4/x', '::1/129', 'fe80::1%eth0', '1.2.3.4/'])('refuses "%s"', (text) => {
    expect(() => parseCidr(text)).toThrow('is not an IP address');
  });

  it('knows the broadcast address where there is one', () => {
    expect(broadcastOf(parseCidr('172.17.5.1/16'))).toEqual(Buffer.from([172, 17, 255, 255]));
    expect(broadcastOf(parseCidr('10.0.0.1/0'))).toEqual(Buffer.from([255, 255, 255, 255]));
    expect(broadcastOf(parseCidr('10.0.0.1/31'))).toBeNull();
    expect(broadcastOf(parseCidr('fd00::1/64'))).toBeNull();
  });
});

describe('netlink messages', () => {
  it('lays a message out as the kernel wants it', () => {
    const message = encodeMessage(16, 0x605, 7, [Buffer.from([1, 2, 3, 4]), textAttribute(3, 'lo')]);
    expect(message.toString('hex')).toBe(
      '1c000000' + '1000' + '0506' + '07000000' + '00000000' + '01020304' + '07000300' + '6c6f0000',
    );
  });

  it('reads back what it writes', () => {
    const first = encodeMessage(16, 2, 1, [textAttribute(3, 'eth0'), u32Attribute(4, 1500)]);
    const messages = decodeMessages(Buffer.concat([first, encodeMessage(3, 0, 1, [])]));
    expect(messages.map(({ type, flags, sequence }) => [type, flags, sequence])).toEqual([
      [16, 2, 1],
      [3, 0, 1],
    ]);
    const attributes = decodeAttributes(messages[0]!.body);
    expect(textOf(attributes.get(3))).toBe('eth0');
    expect(u32Of(attributes.get(4))).toBe(1500);
    expect(textOf(attributes.get(9))).toBeNull();
    expect(u32Of(Buffer.alloc(2))).toBeNull();
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const length = decodeMessages(Buffer.from(bytes)).reduce((sum, { body }) => sum + body.length, 0);
        expect(length).toBeLessThanOrEqual(bytes.length);
        decodeAttributes(Buffer.from(bytes));
      }),
    );
  });

  it('takes flag bits off an attribute’s type', () => {
    expect([...decodeAttributes(attribute(0x8000 | 18, Buffer.alloc(0))).keys()]).toEqual([18]);
  });
});
