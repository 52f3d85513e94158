import { decode } from 'dns-packet';
import type { DecodedPacket } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answer, cutTo, encodeName, refusal } from '../../../../../src/engine/network/dns/answer.ts';
import { RCODE } from '../../../../../src/engine/network/dns/query.ts';
import { readQuestion } from '../../../../support/dns-packets.ts';

const addresses = (count: number): readonly Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from([10, 0, index >> 8, index & 255]));
const read = (bytes: Buffer): DecodedPacket & { readonly rcode?: string } => decode(bytes);

describe('an answer', () => {
  it('has the number and the question as it was asked, and may be kept for ten minutes', () => {
    const bytes = answer(readQuestion('WeB'), 'udp', { records: addresses(2) });
    expect(read(bytes)).toMatchObject({
      id: 4711,
      rcode: 'NOERROR',
      flag_qr: true,
      flag_aa: false,
      flag_tc: false,
      flag_rd: true,
      flag_ra: true,
      questions: [{ name: 'WeB', type: 'A', class: 'IN' }],
      answers: [
        { name: 'WeB', type: 'A', class: 'IN', ttl: 600, data: '10.0.0.0' },
        { name: 'WeB', type: 'A', class: 'IN', ttl: 600, data: '10.0.0.1' },
      ],
      additionals: [],
    });
  });

  it('carries addresses of IPv6 and names', () => {
    const address = Buffer.from('fd000000000000000000000000000002', 'hex');
    expect(read(answer(readQuestion('web', 'AAAA'), 'udp', { records: [address] })).answers).toMatchObject([
      { type: 'AAAA', data: 'fd00::2' },
    ]);
    const name = encodeName('web.MyNet') ?? Buffer.alloc(0);
    expect(
      read(answer(readQuestion('2.0.0.10.in-addr.arpa', 'PTR'), 'udp', { records: [name] })).answers,
    ).toMatchObject([{ type: 'PTR', data: 'web.MyNet' }]);
  });

  it('of nothing is no error: the name exists', () => {
    expect(read(answer(readQuestion('web', 'AAAA'), 'udp'))).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  it('speaks EDNS to whom does', () => {
    const { additionals } = read(
      answer(readQuestion('web', 'A', { udpPayloadSize: 1232 }), 'udp', { records: addresses(1) }),
    );
    expect(additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0 }]);
    const refused = read(answer(readQuestion('web', 'A', { udpPayloadSize: 1232 }), 'udp', { rcode: RCODE.BADVERS }));
    expect(refused).toMatchObject({ rcode: 'NOERROR', additionals: [{ extendedRcode: 1 }] });
  });

  it('is never longer than its client takes by UDP, says so when cut, and is whole by TCP', () => {
    fc.assert(
      fc.property(fc.nat(120), fc.option(fc.integer({ min: 1, max: 3000 })), (count, payload) => {
        const query = readQuestion('web', 'A', { udpPayloadSize: payload ?? undefined });
        const byUdp = answer(query, 'udp', { records: addresses(count) });
        const udp = read(byUdp);
        expect(byUdp.length).toBeLessThanOrEqual(Math.max(512, payload ?? 0));
        expect(udp.flag_tc).toBe((udp.answers?.length ?? 0) < count);
        expect(byUdp.length + 16).toBeGreaterThan(udp.flag_tc ? Math.max(512, payload ?? 0) : 0);
        const tcp = read(answer(query, 'tcp', { records: addresses(count) }));
        expect(tcp).toMatchObject({ flag_tc: false });
        expect(tcp.answers).toHaveLength(count);
      }),
    );
  });

  it('of somebody else that is too long is cut to its question, with its own flags', () => {
    const query = readQuestion('web');
    const long = answer(query, 'tcp', { rcode: RCODE.NXDOMAIN, records: addresses(100) });
    expect(cutTo(query, long).length).toBeLessThanOrEqual(512);
    expect(read(cutTo(query, long))).toMatchObject({ flag_tc: true, rcode: 'NXDOMAIN', answers: [] });
    const short = answer(query, 'tcp', { records: addresses(1) });
    expect(cutTo(query, short)).toBe(short);
  });
});

describe('a refusal', () => {
  it('is a header alone, with the number of what was refused', () => {
    const bytes = refusal(readQuestion('web').bytes, RCODE.FORMERR);
    expect(bytes).toHaveLength(12);
    expect(read(bytes)).toMatchObject({ id: 4711, rcode: 'FORMERR', flag_qr: true, questions: [] });
  });
});

describe('a name', () => {
  it.each(['a'.repeat(64), 'a..b', '', `${'a'.repeat(63)}.`.repeat(4).slice(0, -1)])('%j fits no packet', (name) => {
    expect(encodeName(name)).toBeNull();
  });
});
