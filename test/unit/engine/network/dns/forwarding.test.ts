import { encode } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Allowance, Patience } from '../../../../../src/engine/network/dns/forwarding.ts';
import { FrameReader, framed } from '../../../../../src/engine/network/dns/framed.ts';
import { isReplyTo, isUnhelpful, withId } from '../../../../../src/engine/network/dns/reply-check.ts';
import { upstreamsOf } from '../../../../../src/engine/network/dns/upstream.ts';
import type { NetworkNames } from '../../../../../src/engine/network/name-service.ts';
import { parseResolvConf } from '../../../../../src/engine/network/resolv-conf.ts';
import { readQuestion } from '../../../../support/dns-packets.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const network = (changes: Partial<NetworkNames> = {}): NetworkNames => ({
  networkName: 'n',
  internal: false,
  ipv4: true,
  ipv6: false,
  endpoints: [],
  links: {},
  ...changes,
});
const HOST = parseResolvConf(
  'nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 2001:db8::53\nnameserver 192.0.2.2\n',
);

describe('whom to ask', () => {
  it('are the host’s first three servers, from where they can be reached', () => {
    expect(upstreamsOf({ networks: [network()], servers: [] }, HOST)).toEqual([
      { address: '127.0.0.53', fromHost: true },
      { address: '192.0.2.1', fromHost: false },
      { address: '2001:db8::53', fromHost: true },
    ]);
    expect(upstreamsOf({ networks: [network({ ipv6: true })], servers: [] }, HOST)[2]?.fromHost).toBe(false);
    const local = parseResolvConf('nameserver ::1\nnameserver fe80::1%eth0\n');
    expect(upstreamsOf({ networks: [network({ ipv6: true })], servers: [] }, local)).toEqual([
      { address: '::1', fromHost: true },
      { address: 'fe80::1%eth0', fromHost: true },
    ]);
  });

  it('are the container’s own where it has any, always from where it is', () => {
    expect(upstreamsOf({ networks: [network()], servers: ['127.0.0.1', '192.0.2.9'] }, HOST)).toEqual([
      { address: '127.0.0.1', fromHost: false },
      { address: '192.0.2.9', fromHost: false },
    ]);
  });

  it('is nobody on internal networks alone', () => {
    const internal = network({ internal: true });
    expect(upstreamsOf({ networks: [internal], servers: ['192.0.2.9'] }, HOST)).toEqual([]);
    expect(upstreamsOf({ networks: [internal, network()], servers: ['192.0.2.9'] }, HOST)).toHaveLength(1);
    expect(upstreamsOf({ networks: [network()], servers: [] }, parseResolvConf(''))).toEqual([]);
  });
});

describe('patience', () => {
  it('ends with a server that keeps somebody waiting, for half a minute', async () => {
    const clock = new FakeClock();
    const patience = new Patience(clock);
    const [first, second] = [
      { address: '192.0.2.1', fromHost: false },
      { address: '192.0.2.2', fromHost: false },
    ] as const;
    patience.keptWaiting(first);
    expect(patience.order([first, second])).toEqual([second, first]);
    await clock.advance(30_000);
    expect(patience.order([first, second])).toEqual([first, second]);
    patience.keptWaiting(first);
    patience.answered(first);
    expect(patience.order([first, second])).toEqual([first, second]);
  });
});

describe('the allowance', () => {
  it('is bounded for one, and in sum, yet never nothing', () => {
    const allowance = new Allowance();
    expect(allowance.take(1024)).toBe(false);
    for (let index = 0; index < 4096; index++) expect(allowance.take(1023)).toBe(true);
    expect(allowance.take(64)).toBe(false);
    expect(allowance.take(63)).toBe(true);
    for (let index = 0; index < 2; index++) allowance.giveBack();
    expect(allowance.take(64)).toBe(true);
  });
});

describe('an answer from elsewhere', () => {
  const query = readQuestion('Web.example', 'A', { id: 1 });
  const reply = (changes: Parameters<typeof encode>[0] = {}): Buffer =>
    encode({ type: 'response', id: 99, flags: 0x0180, questions: [{ type: 'A', name: 'Web.example' }], ...changes });

  it('is taken with our number and our question, whose case may have changed', () => {
    expect(withId(query, 99).readUInt16BE(0)).toBe(99);
    expect(query.bytes.readUInt16BE(0)).toBe(1);
    expect(isReplyTo(query, 99, reply())).toBe(true);
    expect(isReplyTo(query, 99, reply({ questions: [{ type: 'A', name: 'web.EXAMPLE' }] }))).toBe(true);
  });

  it.each([
    ['another number', reply({ id: 98 })],
    ['another name', reply({ questions: [{ type: 'A', name: 'bad.example' }] })],
    ['another type', reply({ questions: [{ type: 'AAAA', name: 'Web.example' }] })],
    ['a longer name', reply({ questions: [{ type: 'A', name: 'Web.example.com' }] })],
    ['a question', reply({ type: 'query' })],
    ['no question', reply({ questions: [] })],
    [
      'two questions',
      reply({
        questions: [
          { type: 'A', name: 'Web.example' },
          { type: 'A', name: 'x' },
        ],
      }),
    ],
    ['half of itself', reply().subarray(0, 20)],
    ['nothing', Buffer.alloc(0)],
  ])('is not with %s', (_title, forged) => {
    expect(isReplyTo(query, 99, forged)).toBe(false);
  });

  it('may be an error without the question, after which another server is asked', () => {
    const bare = reply({ questions: [], flags: 0x0182 });
    expect(isReplyTo(query, 99, bare)).toBe(true);
    expect(isUnhelpful(bare)).toBe(true);
    expect(isUnhelpful(reply({ flags: 0x0183 }))).toBe(false);
  });
});

describe('messages on a connection', () => {
  it('come out whole and in order, however they were cut', () => {
    const messages = fc.array(fc.uint8Array({ minLength: 0, maxLength: 300 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (sent, cuts) => {
        const stream = Buffer.concat(sent.map((one) => framed(Buffer.from(one))));
        const reader = new FrameReader();
        const received: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const length = cuts[turn % cuts.length] ?? 1;
          received.push(...reader.take(stream.subarray(at, at + length)));
          at += length;
        }
        expect(received.map((one) => [...one])).toEqual(sent.map((one) => [...one]));
      }),
    );
  });
});
