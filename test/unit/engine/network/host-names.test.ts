import { decode, encode, type Packet } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { answerOf } from '../../../../src/engine/network/host-names/directory.ts';
import type { EndpointState, NetworkView } from '../../../../src/engine/network/types.ts';

const endpoint = (
  ipv4Address: string | null,
  ipv6Address: string | null,
  names: Partial<EndpointState>,
): EndpointState =>
  ({ containerId: 'ab'.repeat(32) as ContainerId, ipv4Address, ipv6Address, ...names }) as EndpointState;

const NETWORKS = [
  {
    name: 'bridge',
    internal: false,
    endpoints: [endpoint('172.17.0.2', null, { containerName: 'Web', dnsNames: [] })],
  },
  {
    name: 'shop',
    internal: false,
    endpoints: [
      endpoint('10.0.0.2', 'fd00::2', { dnsNames: ['web', 'front'] }),
      endpoint('10.0.0.3', null, { dnsNames: ['web', 'a.b'] }),
    ],
  },
] as unknown as readonly NetworkView[];

function ask(
  question: object,
  more: Partial<Packet> = {},
): { readonly rcode: string; readonly data: readonly unknown[]; readonly ttl: number } {
  const bytes = encode({
    type: 'query',
    id: 7,
    questions: [{ type: 'A', class: 'IN', name: '', ...question }],
    ...more,
  });
  const reply = answerOf(bytes, 'udp', { domain: 'docker', networks: () => NETWORKS });
  if (reply === null) throw new Error('no answer');
  const read = decode(reply) as unknown as {
    readonly id: number;
    readonly rcode: string;
    readonly answers: readonly { readonly data: unknown; readonly ttl: number }[];
  };
  expect(read.id).toBe(7);
  return { rcode: read.rcode, data: read.answers.map(({ data }) => data), ttl: read.answers[0]?.ttl ?? 0 };
}

describe('names of containers on the host', () => {
  it.each([
    ['web.docker', ['172.17.0.2']],
    ['WEB.Docker', ['172.17.0.2']],
    ['web.bridge.docker', ['172.17.0.2']],
    ['web.shop.docker', ['10.0.0.2', '10.0.0.3']],
    ['front.docker', ['10.0.0.2']],
    ['a.b.docker', ['10.0.0.3']],
    ['abababababab.docker', ['172.17.0.2']],
  ])('%s is at %j, of which nothing is to be kept', (name, addresses) => {
    expect(ask({ name })).toEqual({ rcode: 'NOERROR', data: addresses, ttl: 0 });
  });

  it('have addresses of IPv6, and are no error where they have none', () => {
    expect(ask({ name: 'web.shop.docker', type: 'AAAA' }).data).toEqual(['fd00::2']);
    expect(ask({ name: 'web.docker', type: 'AAAA' })).toEqual({ rcode: 'NOERROR', data: [], ttl: 0 });
    expect(ask({ name: 'web.docker', type: 'MX' })).toMatchObject({ rcode: 'NOERROR', data: [] });
    expect(ask({ name: 'docker', type: 'SOA' })).toMatchObject({ rcode: 'NOERROR', data: [] });
  });

  it.each([
    [{ name: 'none.docker' }, 'NXDOMAIN'],
    [{ name: 'front.bridge.docker' }, 'NXDOMAIN'],
    [{ name: 'web.example.org' }, 'REFUSED'],
    [{ name: 'webdocker' }, 'REFUSED'],
    [{ name: 'web.docker', class: 'CH' }, 'REFUSED'],
  ])('%j: %s', (question, rcode) => {
    expect(ask(question).rcode).toBe(rcode);
  });

  it('are told to nobody who does not ask properly', () => {
    const source = { domain: 'docker', networks: () => NETWORKS };
    expect(answerOf(Buffer.from('x'), 'udp', source)).toBeNull();
    const cut = encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'web.docker' }] }).subarray(0, 16);
    expect(answerOf(cut, 'udp', source)?.readUInt16BE(2)).toBe(0x8081 | (cut.readUInt16BE(2) & 0x0100));
  });
});
