import { describe, expect, it } from 'vitest';
import {
  assertDomain,
  domainOfServerAddress,
  endpointsOf,
  hostsToLookUp,
  isInsecure,
  type EndpointRules,
} from '../../../../src/engine/registry/endpoints.ts';

const none: EndpointRules = { insecureRegistries: [], mirrors: [], mirrorsByPrefix: [] };
const urls = (domain: string, path: string, rules: Partial<EndpointRules>): readonly string[] =>
  endpointsOf({ domain, path }, { ...none, ...rules }).map(({ baseUrl, namePrefix }) =>
    `${baseUrl} ${namePrefix}`.trim(),
  );

describe('endpointsOf', () => {
  it('asks HTTPS only, with its certificate checked', () => {
    expect(endpointsOf({ domain: 'r.example:5000', path: 'a' }, none)).toEqual([
      {
        baseUrl: 'https://r.example:5000',
        host: 'r.example:5000',
        namePrefix: '',
        isMirror: false,
        verifyTls: true,
      },
    ]);
  });

  it('tries HTTPS and then HTTP on this machine', () => {
    expect(urls('localhost:5000', 'a', {})).toEqual(['https://localhost:5000', 'http://localhost:5000']);
  });

  it('asks mirrors before Docker Hub, and for nothing else', () => {
    const rules = { mirrors: ['https://m1.example/', 'http://m2.example/sub'] };
    expect(urls('docker.io', 'library/a', rules)).toEqual([
      'https://m1.example',
      'http://m2.example/sub',
      'https://registry-1.docker.io',
    ]);
    expect(urls('r.example', 'a', rules)).toEqual(['https://r.example']);
  });

  it('looks names up where a CIDR block could cover them', () => {
    const rules = { ...none, insecureRegistries: ['10.0.0.0/8'], mirrors: ['https://m.example'] };
    const repository = { domain: 'docker.io', path: 'library/a' };
    expect(hostsToLookUp(repository, rules)).toEqual(['m.example', 'registry-1.docker.io']);
    const found = endpointsOf(repository, rules, (host) => (host === 'm.example' ? ['192.0.2.1', '10.1.2.3'] : []));
    expect(found.map(({ host, verifyTls }) => [host, verifyTls])).toEqual([
      ['m.example', false],
      ['registry-1.docker.io', true],
    ]);
    expect(hostsToLookUp({ domain: '10.1.2.3:5000', path: 'a' }, rules)).toEqual([]);
    expect(hostsToLookUp({ domain: 'localhost', path: 'a' }, rules)).toEqual([]);
  });
});

describe('mirrors by prefix', () => {
  const mirrorsByPrefix = [
    { prefix: 'r.example', mirrors: ['https://m0.example'] },
    { prefix: 'r.example/team', mirrors: ['https://m1.example/proxy/r/', 'http://m2.example'] },
    { prefix: 'alpine', mirrors: ['https://m3.example'] },
    { prefix: 'http://plain.example:5000', mirrors: [] },
    { prefix: 'http://half.example/open', mirrors: ['https://m4.example'] },
  ];
  it.each([
    ['r.example', 'a', ['https://m0.example', 'https://r.example']],
    ['r.example', 'team/a', ['https://m1.example proxy/r/', 'http://m2.example', 'https://r.example']],
    ['r.example', 'teams/a', ['https://m0.example', 'https://r.example']],
    ['R.example', 'team', ['https://m1.example proxy/r/', 'http://m2.example', 'https://R.example']],
    ['r.example:5000', 'team/a', ['https://r.example:5000']],
    ['docker.io', 'library/alpine', ['https://m3.example', 'https://registry-1.docker.io']],
    ['docker.io', 'library/alpine-foo', ['https://registry-1.docker.io']],
    ['docker.io', 'alpine/git', ['https://m3.example', 'https://registry-1.docker.io']],
    ['plain.example:5000', 'a/b', ['http://plain.example:5000']],
    ['half.example', 'open/a', ['https://m4.example', 'http://half.example']],
    ['half.example', 'other', ['http://half.example']],
  ])('%s/%s: %j', (domain, path, wanted) => {
    expect(urls(domain, path, { mirrorsByPrefix })).toEqual(wanted);
  });

  it('go before those of docker.io', () => {
    const rules = { mirrorsByPrefix, mirrors: ['https://hub.example'] };
    expect(urls('docker.io', 'library/alpine', rules)).toEqual([
      'https://m3.example',
      'https://hub.example',
      'https://registry-1.docker.io',
    ]);
  });
});

describe('isInsecure', () => {
  it.each([
    ['127.0.0.1:5000', [], true],
    ['127.8.9.1', [], true],
    ['[::1]:5000', [], true],
    ['localhost', [], true],
    ['10.1.2.3:5000', [], false],
    ['10.1.2.3:5000', ['10.0.0.0/8'], true],
    ['[fd00::7]:5000', ['fd00::/8'], true],
    ['[fe00::7]:5000', ['fd00::/8'], false],
    ['r.example:5000', ['R.example:5000'], true],
    ['r.example:5001', ['r.example:5000'], false],
    ['r.example:5001', ['r.example'], true],
    ['r.example:5000', ['http://r.example:5000'], true],
    ['r.example', ['not a block/xx'], false],
  ])('%s with %j: %s', (host, entries, expected) => {
    expect(isInsecure(host, entries)).toBe(expected);
  });

  it('asks for the addresses of names only', () => {
    const addresses = (host: string): readonly string[] => (host === 'own.example' ? ['::1'] : ['192.0.2.7']);
    expect(isInsecure('own.example:5000', [], addresses)).toBe(true);
    expect(isInsecure('r.example', ['192.0.2.0/24'], addresses)).toBe(true);
    expect(isInsecure('r.example', ['198.51.100.0/24'], addresses)).toBe(false);
  });
});

describe('assertDomain', () => {
  it.each(['r.example', 'r.example:5000', 'localhost', '127.0.0.1:5000', '[::1]:5000', 'docker.io', 'my_host:5000'])(
    'takes %s',
    (domain) => {
      expect(() => assertDomain(domain)).not.toThrow();
    },
  );

  it.each([
    'a b',
    'r.example?x',
    'r.example#x',
    'user@r.example',
    'r.example:99999',
    'r.example:port',
    '[x]',
    '..\\x',
    '',
  ])('refuses %j', (domain) => {
    expect(() => assertDomain(domain)).toThrow(`invalid registry host ${JSON.stringify(domain)}`);
  });
});

describe('domainOfServerAddress', () => {
  it.each([
    ['', 'docker.io'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['http://127.0.0.1:5000/v2/', '127.0.0.1:5000'],
    ['r.example', 'r.example'],
  ])('%s → %s', (address, domain) => {
    expect(domainOfServerAddress(address)).toBe(domain);
  });
});
