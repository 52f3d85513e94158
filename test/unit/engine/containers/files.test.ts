import { describe, expect, it } from 'vitest';
import {
  hostsText,
  hostsTextOfHost,
  namesOnlyResolvedStub,
  parseExtraHost,
  resolvConfText,
} from '../../../../src/engine/containers/files.ts';

const NO_WISHES = { servers: [], search: [], options: [] };
const OWN = { ipv6: false, own: true };

describe('/etc/hosts', () => {
  it('has the local names, then the extra ones, then its own for each address', () => {
    const text = hostsText({
      extraHosts: [['192.0.2.1', 'db']],
      addresses: ['172.17.0.2', 'fd00::2'],
      hostname: 'box',
      domainname: '',
    });
    expect(text).toBe(
      [
        '127.0.0.1\tlocalhost',
        '::1\tlocalhost ip6-localhost ip6-loopback',
        'fe00::\tip6-localnet',
        'ff00::\tip6-mcastprefix',
        'ff02::1\tip6-allnodes',
        'ff02::2\tip6-allrouters',
        '192.0.2.1\tdb',
        '172.17.0.2\tbox',
        'fd00::2\tbox',
        '',
      ].join('\n'),
    );
  });

  it('has the full name before the short one', () => {
    const text = hostsText({ extraHosts: [], addresses: ['172.17.0.2'], hostname: 'box', domainname: 'example.org' });
    expect(text).toMatch(/\n172\.17\.0\.2\tbox\.example\.org box\n$/);
  });

  it('in the host’s network is the host’s, with the extra names on lines of their own', () => {
    expect(hostsTextOfHost('127.0.0.1 localhost', [['192.0.2.1', 'db']])).toBe('127.0.0.1 localhost\n192.0.2.1\tdb\n');
    expect(hostsTextOfHost('', [])).toBe('');
    expect(hostsTextOfHost('x\n', [])).toBe('x\n');
  });
});

describe('an extra host', () => {
  it.each([
    ['db:192.0.2.1', ['192.0.2.1', 'db']],
    ['db=192.0.2.1', ['192.0.2.1', 'db']],
    ['db:::1', ['::1', 'db']],
    ['db=[fd00::1]', ['fd00::1', 'db']],
    ['db:[fd00::1]', ['fd00::1', 'db']],
    ['gw:host-gateway', ['172.17.0.1', 'gw']],
    ['db', null],
    [':192.0.2.1', null],
    ['db:', null],
    ['db:300.1.1.1', null],
    ['db:other', null],
  ] as const)('%s', (text, expected) => {
    expect(parseExtraHost(text, '172.17.0.1')).toEqual(expected);
  });

  it('cannot be the gateway where there is none', () => {
    expect(parseExtraHost('gw:host-gateway', null)).toBeNull();
  });
});

describe('/etc/resolv.conf', () => {
  const host =
    '# by hand\nnameserver 192.0.2.53 ; the first\nsearch a.example b.example\noptions ndots:2\noptions timeout:1\n';

  it('is the host’s where it can be reached', () => {
    expect(resolvConfText(host, NO_WISHES, OWN)).toBe(
      'nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2 timeout:1\n',
    );
  });

  it.each([
    [
      'loopback',
      'nameserver 127.0.0.53\nnameserver 127.1.2.3\nnameserver ::1\nnameserver 192.0.2.1\n',
      false,
      ['192.0.2.1'],
    ],
    ['IPv6 without IPv6', 'nameserver fd00::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n', false, ['192.0.2.1']],
    ['nothing with IPv6', 'nameserver fd00::1\nnameserver 192.0.2.1\n', true, ['fd00::1', '192.0.2.1']],
    ['all: Docker’s fall-back', 'nameserver 127.0.0.1\n', false, ['8.8.8.8', '8.8.4.4']],
    ['an empty file: the fall-back too', '', false, ['8.8.8.8', '8.8.4.4']],
  ])('loses %s', (_title, text, ipv6, servers) => {
    expect(resolvConfText(text, NO_WISHES, { ipv6, own: true })).toBe(
      servers.map((server) => `nameserver ${server}\n`).join(''),
    );
  });

  it('in the host’s network stays as it is', () => {
    expect(resolvConfText('nameserver 127.0.0.53\n', NO_WISHES, { ipv6: false, own: false })).toBe(
      'nameserver 127.0.0.53\n',
    );
    expect(resolvConfText('', NO_WISHES, { ipv6: false, own: false })).toBe('');
  });

  it('gives way to each wish by itself, and `.` means no search list', () => {
    expect(resolvConfText(host, { ...NO_WISHES, servers: ['127.0.0.1'] }, OWN)).toContain(
      'nameserver 127.0.0.1\nsearch a.',
    );
    expect(resolvConfText(host, { ...NO_WISHES, search: ['.'] }, OWN)).not.toContain('search');
    expect(resolvConfText(host, { ...NO_WISHES, options: ['rotate'] }, OWN)).toContain('options rotate\n');
  });

  it.each([
    ['nameserver 127.0.0.53\noptions edns0\n', true],
    ['nameserver 127.0.0.53\nnameserver 192.0.2.1\n', false],
    ['nameserver 127.0.0.1\n', false],
    ['# nameserver 127.0.0.53\n', false],
    ['', false],
  ])('%j is resolved’s stub alone: %s', (text, expected) => {
    expect(namesOnlyResolvedStub(text)).toBe(expected);
  });
});
