import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { questionBytes as question } from '../../../../support/dns-packets.ts';
import { RCODE, readPacket } from '../../../../../src/engine/network/dns/query.ts';

describe('a question', () => {
  it('is read with its name in lower case, whatever it was written in', () => {
    expect(readPacket(question('Web.MyNet.'))).toMatchObject({
      kind: 'query',
      query: { id: 4711, name: 'web.mynet', type: 1, class: 1, edns: null, udpBytes: 512, repeatedFlags: 0x0100 },
    });
  });

  it('of the root has an empty name', () => {
    expect(readPacket(question('.'))).toMatchObject({ query: { name: '' } });
  });

  it('says by EDNS what its client takes, never less than 512 bytes', () => {
    const withPayload = (udpPayloadSize: number): Buffer => question('web', 'A', { udpPayloadSize });
    expect(readPacket(withPayload(1232))).toMatchObject({
      query: { udpBytes: 1232, edns: { payloadBytes: 1232, version: 0 } },
    });
    expect(readPacket(withPayload(100))).toMatchObject({ query: { udpBytes: 512 } });
  });

  it.each([
    ['a byte that no host name has', Buffer.from([3, 0xff, 0x61, 0x62, 0])],
    ['a dot inside a label', Buffer.from([3, 0x61, 0x2e, 0x62, 0])],
    ['a space', Buffer.from([3, 0x61, 0x20, 0x62, 0])],
  ])('whose name has %s is nobody’s name here, yet others may be asked', (_title, name) => {
    const bytes = Buffer.concat([question('x').subarray(0, 12), name, Buffer.from([0, 1, 0, 1])]);
    expect(readPacket(bytes)).toMatchObject({ kind: 'query', query: { name: null } });
  });
});

describe('what is no question', () => {
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(question('web'));
    change(bytes);
    return bytes;
  };

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['less than a header', question('web').subarray(0, 11)],
    ['an answer', changed((bytes) => bytes.writeUInt16BE(0x8180, 2))],
  ])('%s: nothing is said to it', (_title, bytes) => {
    expect(readPacket(bytes)).toEqual({ kind: 'noise' });
  });

  it.each([
    ['an update', changed((bytes) => bytes.writeUInt16BE(0x2800, 2)), RCODE.NOTIMP],
    ['two questions', changed((bytes) => bytes.writeUInt16BE(2, 4)), RCODE.FORMERR],
    ['no question', changed((bytes) => bytes.writeUInt16BE(0, 4)), RCODE.FORMERR],
    ['a question with answers', changed((bytes) => bytes.writeUInt16BE(1, 6)), RCODE.FORMERR],
    ['a name without end', changed((bytes) => bytes.writeUInt8(63, 12)), RCODE.FORMERR],
    ['a name that points', changed((bytes) => bytes.writeUInt16BE(0xc00c, 12)), RCODE.FORMERR],
    ['a label of an unknown kind', changed((bytes) => bytes.writeUInt8(0x41, 12)), RCODE.FORMERR],
    ['a cut question', question('web').subarray(0, -1), RCODE.FORMERR],
    ['records that are not there', changed((bytes) => bytes.writeUInt16BE(3, 10)), RCODE.FORMERR],
    ['sixty thousand records', changed((bytes) => bytes.writeUInt16BE(60_000, 10)), RCODE.FORMERR],
    ['a name of 256 bytes', question(`${'a'.repeat(63)}.`.repeat(4).slice(0, -1)), RCODE.FORMERR],
  ])('%s: an error', (_title, bytes, rcode) => {
    expect(readPacket(bytes)).toMatchObject({ kind: 'refused', rcode });
  });

  it('two OPT records: an error', () => {
    const opt = Buffer.from([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    const bytes = Buffer.concat([question('web'), opt, opt]);
    bytes.writeUInt16BE(2, 10);
    expect(readPacket(bytes)).toMatchObject({ kind: 'refused', rcode: RCODE.FORMERR });
  });
});

describe('any bytes', () => {
  const spoilt = fc
    .tuple(
      fc.constantFrom(question('web'), question('2.0.18.172.in-addr.arpa', 'PTR'), question('a.b.c.example')),
      fc.array(fc.tuple(fc.nat(64), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
      fc.nat(64),
    )
    .map(([base, changes, cut]) => {
      const bytes = Buffer.from(base);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes.subarray(0, bytes.length - (cut % bytes.length));
    });
  const random = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));

  it('are read without harm, and what is found lies inside them', () => {
    fc.assert(
      fc.property(fc.oneof(random, spoilt), (bytes) => {
        const packet = readPacket(bytes);
        if (packet.kind !== 'query') return;
        expect(packet.query.questionEnd).toBeLessThanOrEqual(bytes.length);
        expect(packet.query.udpBytes).toBeGreaterThanOrEqual(512);
      }),
      { numRuns: 5000 },
    );
  });
});
