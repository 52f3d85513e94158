import { describe, expect, it } from 'vitest';
import { portGroups } from '../../../../../src/engine/network/ports/groups.ts';
import {
  canonicalAddress,
  compareAddresses,
  isHostAddress,
} from '../../../../../src/engine/network/ports/host-address.ts';
import type { PublishTarget } from '../../../../../src/engine/network/ports.ts';
import type { PortBinding, PortProtocol } from '../../../../../src/engine/network/types.ts';

const ALL = { ipv6: true, proxy: true };
const v4Only: PublishTarget = { bridgeName: 'x0', ipv4Address: '10.0.0.2', hostBinding: '0.0.0.0' };
const dual: PublishTarget = { ...v4Only, ipv6Address: 'fd00::2' };
const v6Only: PublishTarget = { ...v4Only, ipv4Address: null, ipv6Address: 'fd00::2' };

function wish(host: string, port = 80, protocol: PortProtocol = 'tcp'): PortBinding {
  const [, hostIp = '', range = ''] = /^(?:(.*) )?([\d-]*)$/.exec(host) ?? [];
  const [first = 0, last = first] = range.split('-').map(Number);
  return { container: { port, protocol }, hostIp, hostPortStart: first, hostPortEnd: last };
}

/** `host → container` of each row, a group a line. */
function rows(target: PublishTarget, bindings: readonly PortBinding[], host = ALL): readonly string[] {
  return portGroups(target, bindings, host).map(
    ({ container, first, last, rows: ways }) =>
      `${String(container.port)}/${container.protocol} ${String(first)}-${String(last)}: ` +
      ways
        .map(({ hostIp, endpointIpAddress, routed }) => `${hostIp}>${endpointIpAddress}${routed ? ' routed' : ''}`)
        .join(', '),
  );
}

describe('rows of a wish', () => {
  it.each([
    ['8080', v4Only, '80/tcp 8080-8080: 0.0.0.0>10.0.0.2, ::>10.0.0.2'],
    ['8080', dual, '80/tcp 8080-8080: 0.0.0.0>10.0.0.2, ::>fd00::2'],
    ['8080', v6Only, '80/tcp 8080-8080: ::>fd00::2'],
    ['127.0.0.1 8080', dual, '80/tcp 8080-8080: 127.0.0.1>10.0.0.2'],
    ['0.0.0.0 8080', dual, '80/tcp 8080-8080: 0.0.0.0>10.0.0.2'],
    [':: 8080', dual, '80/tcp 8080-8080: ::>fd00::2'],
    ['0:0:0:0:0:0:0:1 8080', v4Only, '80/tcp 8080-8080: ::1>10.0.0.2'],
    ['::ffff:127.0.0.1 8080', dual, '80/tcp 8080-8080: 127.0.0.1>10.0.0.2'],
    ['', v4Only, '80/tcp 0-0: 0.0.0.0>10.0.0.2, ::>10.0.0.2'],
  ])('%s', (text, target, expected) => {
    expect(rows(target, [wish(text)])).toEqual([expected]);
  });

  it('is for a default address of its family only', () => {
    expect(rows({ ...dual, hostBinding: '192.0.2.1' }, [wish('80')])).toEqual(['80/tcp 80-80: 192.0.2.1>10.0.0.2']);
    expect(rows({ ...dual, hostBinding: '::1' }, [wish('80')])).toEqual(['80/tcp 80-80: ::1>fd00::2']);
    expect(rows({ ...dual, hostBinding: '::' }, [wish('80')])).toEqual(['80/tcp 80-80: ::>fd00::2']);
  });

  it('leads IPv6 to IPv4 by a proxy only, and not where the container has IPv6 elsewhere', () => {
    const noProxy = { ipv6: true, proxy: false };
    expect(rows(v4Only, [wish('80')], noProxy)).toEqual(['80/tcp 80-80: 0.0.0.0>10.0.0.2']);
    expect(rows(v4Only, [wish('::1 80')], noProxy)).toEqual([]);
    expect(rows({ ...v4Only, ipv6ToIpv4: false }, [wish('80')])).toEqual(['80/tcp 80-80: 0.0.0.0>10.0.0.2']);
    expect(rows(dual, [wish('80')], noProxy)).toEqual(['80/tcp 80-80: 0.0.0.0>10.0.0.2, ::>fd00::2']);
  });

  it('leads SCTP by the packet filter only', () => {
    expect(rows(v4Only, [wish('80', 80, 'sctp')])).toEqual(['80/sctp 80-80: 0.0.0.0>10.0.0.2']);
    expect(rows(dual, [wish('80', 80, 'sctp')])).toEqual(['80/sctp 80-80: 0.0.0.0>10.0.0.2, ::>fd00::2']);
  });

  it('implies no IPv6 on a host without', () => {
    expect(rows(dual, [wish('80')], { ipv6: false, proxy: true })).toEqual(['80/tcp 80-80: 0.0.0.0>10.0.0.2']);
  });

  it('opens routed networks in place of taking host ports', () => {
    expect(rows({ ...dual, ipv4Mode: 'routed', ipv6Mode: 'routed' }, [wish('127.0.0.1 8080')])).toEqual([
      '80/tcp 8080-8080: 0.0.0.0>10.0.0.2 routed',
    ]);
    expect(rows({ ...dual, ipv6Mode: 'routed' }, [wish('8080')])).toEqual([
      '80/tcp 8080-8080: 0.0.0.0>10.0.0.2, ::>fd00::2 routed',
    ]);
  });
});

describe('the order of wishes', () => {
  it('is exact ports first, then by container port, protocol and host port', () => {
    const given = [wish('9000-9001', 80), wish('', 70), wish('9000', 90), wish('53', 53, 'udp'), wish('53', 53)];
    expect(rows({ ...v4Only, hostBinding: '127.0.0.1' }, given).map((text) => text.replace(/:.*/, ''))).toEqual([
      '53/tcp 53-53',
      '53/udp 53-53',
      '90/tcp 9000-9000',
      '70/tcp 0-0',
      '80/tcp 9000-9001',
    ]);
  });

  it('puts addresses of one port side by side, so that they get the same host port', () => {
    expect(rows(v4Only, [wish('127.0.0.2 '), wish('::1 '), wish('127.0.0.1 ')])).toEqual([
      '80/tcp 0-0: 127.0.0.1>10.0.0.2, 127.0.0.2>10.0.0.2, ::1>10.0.0.2',
    ]);
  });
});

describe('a wish made twice', () => {
  const all = '0.0.0.0>10.0.0.2, ::>10.0.0.2';

  it.each(['8080', '', '8080-8090'])('"%s" is judged by itself', (text) => {
    expect(rows(v4Only, [wish(text), wish(text)]).map((row) => row.replace(/^.*?: /, ''))).toEqual([all, all]);
  });

  it('is told from the same for another address', () => {
    expect(rows(v4Only, [wish('127.0.0.1 80'), wish('127.0.0.1 80'), wish('127.0.0.2 80')])).toEqual([
      '80/tcp 80-80: 127.0.0.1>10.0.0.2',
      '80/tcp 80-80: 127.0.0.1>10.0.0.2, 127.0.0.2>10.0.0.2',
    ]);
  });
});

describe('host addresses', () => {
  it.each(['127.0.0.1', '::', 'fe80::1', '::ffff:1.2.3.4'])('%s is one', (text) => {
    expect(isHostAddress(text)).toBe(true);
  });

  it.each(['', 'localhost', '127.0.0.256', 'fe80::1%eth0', '1.2.3', '01.2.3.4', '[::1]'])('"%s" is none', (text) => {
    expect(isHostAddress(text)).toBe(false);
  });

  it('has one text each', () => {
    expect(['FE80:0:0:0:0:0:0:1', '::ffff:102:304', '10.0.0.1'].map(canonicalAddress)).toEqual([
      'fe80::1',
      '1.2.3.4',
      '10.0.0.1',
    ]);
  });

  it('has an order', () => {
    const sorted = ['', '9.0.0.1', '10.0.0.1', '::', '::1', 'fd00::1', 'fd00::1:0'];
    expect([...sorted].reverse().sort(compareAddresses)).toEqual(sorted);
  });
});
