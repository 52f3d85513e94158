import { describe, expect, it } from 'vitest';
import { addressBytes, reverseName } from '../../../../../src/engine/network/dns/address-bytes.ts';
import { Names } from '../../../../../src/engine/network/dns/names.ts';
import type { NamedEndpoint, NetworkNames } from '../../../../../src/engine/network/name-service.ts';

const endpoint = (ipv4Address: string | null, ...names: readonly string[]): NamedEndpoint => ({
  names,
  ipv4Address,
  ipv6Address: null,
});

const network = (networkName: string, endpoints: readonly NamedEndpoint[], links = {}): NetworkNames => ({
  networkName,
  internal: false,
  ipv4: true,
  ipv6: false,
  endpoints,
  links,
});

const names = (...networks: readonly NetworkNames[]): Names => new Names({ networks, servers: [] });
const ipv4 = (found: ReturnType<Names['resolve']>): readonly string[] | null =>
  found?.ipv4.map((bytes) => bytes.join('.')) ?? null;

describe('names', () => {
  it('lead to all who have them, whatever their case', () => {
    const known = names(network('front', [endpoint('10.0.0.2', 'Web', 'svc'), endpoint('10.0.0.3', 'db', 'SVC')]));
    expect(ipv4(known.resolve('web'))).toEqual(['10.0.0.2']);
    expect(ipv4(known.resolve('svc'))).toEqual(['10.0.0.2', '10.0.0.3']);
    expect(known.resolve('other')).toBeNull();
    expect(known.resolve('')).toBeNull();
  });

  it('given twice to one lead to it once', () => {
    expect(ipv4(names(network('n', [endpoint('10.0.0.2', 'web', 'WEB')])).resolve('web'))).toEqual(['10.0.0.2']);
  });

  it('of one family exist in the other without an address', () => {
    const known = names(network('n', [endpoint('10.0.0.2', 'web')]));
    expect(known.resolve('web')?.ipv6).toEqual([]);
  });

  it('may be followed by their network, and both may have dots', () => {
    const known = names(
      network('Front', [endpoint('10.0.0.2', 'web')]),
      network('back.end', [endpoint('10.1.0.2', 'web'), endpoint('10.1.0.3', 'a.b')]),
    );
    expect(ipv4(known.resolve('web'))).toEqual(['10.0.0.2']);
    expect(ipv4(known.resolve('web.front'))).toEqual(['10.0.0.2']);
    expect(ipv4(known.resolve('web.back.end'))).toEqual(['10.1.0.2']);
    expect(ipv4(known.resolve('a.b'))).toEqual(['10.1.0.3']);
    expect(ipv4(known.resolve('a.b.back.end'))).toEqual(['10.1.0.3']);
    expect(known.resolve('web.elsewhere')).toBeNull();
    expect(known.resolve('front')).toBeNull();
  });

  it('that only this container knows come first', () => {
    const endpoints = [endpoint('10.0.0.2', 'web'), endpoint('10.0.0.3', 'db'), endpoint('10.0.0.4', 'cache')];
    const known = names(network('n', endpoints, { DB: 'cache', gone: 'nobody' }));
    expect(ipv4(known.resolve('db'))).toEqual(['10.0.0.4']);
    expect(ipv4(known.resolve('db.n'))).toEqual(['10.0.0.4']);
    expect(known.resolve('gone')).toBeNull();
  });

  it('are what objects inherit only where somebody is called so', () => {
    expect(names(network('n', [endpoint('10.0.0.2', 'web')])).resolve('constructor')).toBeNull();
  });
});

describe('addresses', () => {
  const endpoints = [
    { names: ['web', 'svc'], ipv4Address: '10.0.0.2', ipv6Address: 'fd00::2' },
    { names: ['x'.repeat(70)], ipv4Address: '10.0.0.3', ipv6Address: null },
    { names: [], ipv4Address: '10.0.0.4', ipv6Address: null },
  ];
  const known = names(network('MyNet', endpoints));
  const reverse = (address: string): Buffer | null =>
    known.reverse(reverseName(addressBytes(address) ?? Buffer.alloc(4)));

  it.each(['10.0.0.2', 'fd00::2'])('%s leads back to the first name and its network', (address) => {
    expect(reverse(address)?.toString('latin1')).toBe('\u0003web\u0005MyNet\0');
  });

  it.each([
    ['10.0.0.3', 'whose name no packet can hold'],
    ['10.0.0.4', 'without names'],
    ['10.0.0.9', 'of nobody'],
  ])('%s %s leads nowhere', (address) => {
    expect(reverse(address)).toBeNull();
  });

  it('are spelled as reverse zones have them', () => {
    expect(reverseName(addressBytes('192.0.2.1') ?? Buffer.alloc(0))).toBe('1.2.0.192.in-addr.arpa');
    expect(reverseName(addressBytes('2001:db8::567:89ab') ?? Buffer.alloc(0))).toBe(
      'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
    );
    expect(addressBytes('::ffff:192.0.2.1')?.toString('hex')).toBe('00000000000000000000ffffc0000201');
    expect(addressBytes('::')?.toString('hex')).toBe('0'.repeat(32));
    expect(addressBytes('fe80::1%eth0')).toBeNull();
    expect(addressBytes('web')).toBeNull();
  });
});
