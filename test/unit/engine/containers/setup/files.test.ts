import { describe, expect, it } from 'vitest';
import { hostsText, hostsWith, ownRows, parseExtraHost } from '../../../../../src/engine/containers/setup/files.ts';

describe('/etc/hosts', () => {
  it('has the local names, then the extra ones, then its own for each address', () => {
    const text = hostsText({
      extraHosts: [['192.0.2.1', 'db']],
      own: ownRows(['172.17.0.2', 'fd00::2'], { hostname: 'box', domainname: '' }),
      ipv6: true,
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
    expect(ownRows(['172.17.0.2'], { hostname: 'box', domainname: 'example.org' })).toEqual([
      ['172.17.0.2', 'box.example.org box'],
    ]);
    expect(ownRows(['172.17.0.2'], { hostname: 'box.example.org', domainname: '' })).toEqual([
      ['172.17.0.2', 'box.example.org box'],
    ]);
  });

  it('names nothing of IPv6 where there is none', () => {
    const extraHosts = [
      ['fd00::1', 'six'],
      ['192.0.2.1', 'four'],
    ] as const;
    expect(hostsText({ extraHosts, own: [['172.17.0.2', 'box']], ipv6: false })).toBe(
      '127.0.0.1\tlocalhost\n192.0.2.1\tfour\n172.17.0.2\tbox\n',
    );
  });
});

describe('a hosts file whose container goes to another network', () => {
  const gone = [['172.17.0.2', 'box']] as const;
  const come = [['172.18.0.2', 'box']] as const;

  it.each([
    [
      'loses the one line and gets the other',
      '127.0.0.1\tlocalhost\n172.17.0.2\tbox\n',
      '127.0.0.1\tlocalhost\n172.18.0.2\tbox\n',
    ],
    [
      'keeps what was written inside',
      '172.17.0.2\tbox\n# mine\n192.0.2.1 x\n',
      '# mine\n192.0.2.1 x\n172.18.0.2\tbox\n',
    ],
    ['keeps a line that was changed inside', '172.17.0.2\tbox other\n', '172.17.0.2\tbox other\n172.18.0.2\tbox\n'],
    ['ends a last line that has no end', '192.0.2.1 x', '192.0.2.1 x\n172.18.0.2\tbox\n'],
    ['begins an empty file', '', '172.18.0.2\tbox\n'],
  ])('%s', (_title, before, after) => {
    expect(hostsWith(before, gone, come)).toBe(after);
  });

  it('is the same text when nothing comes or goes', () => {
    expect(hostsWith('a\n\nb', [], [])).toBe('a\n\nb\n');
  });
});

describe('an extra host', () => {
  it.each([
    ['db:192.0.2.1', [['192.0.2.1', 'db']]],
    ['db=192.0.2.1', [['192.0.2.1', 'db']]],
    ['db:::1', [['::1', 'db']]],
    ['db=[fd00::1]', [['fd00::1', 'db']]],
    ['db:[fd00::1]', [['fd00::1', 'db']]],
    [
      'gw:host-gateway',
      [
        ['172.17.0.1', 'gw'],
        ['fd00::1', 'gw'],
      ],
    ],
    ['db', []],
    [':192.0.2.1', []],
    ['db:', []],
    ['db:300.1.1.1', []],
    ['db:other', []],
  ] as const)('%s', (text, expected) => {
    expect(parseExtraHost(text, ['172.17.0.1', 'fd00::1'])).toEqual(expected);
  });

  it('cannot be the gateway where there is none', () => {
    expect(parseExtraHost('gw:host-gateway', [])).toEqual([]);
  });
});
