import { describe, expect, it } from 'vitest';
import { domainOfServerAddress, endpointsOf, isInsecure } from '../../../../src/engine/registry/endpoints.ts';

const none = { insecureRegistries: [], mirrors: [] };

describe('endpointsOf', () => {
  it('asks HTTPS only, with its certificate checked', () => {
    expect(endpointsOf('r.example:5000', none)).toEqual([
      { baseUrl: 'https://r.example:5000', isMirror: false, verifyTls: true },
    ]);
  });

  it('tries HTTPS and then HTTP on this machine', () => {
    expect(endpointsOf('localhost:5000', none).map(({ baseUrl }) => baseUrl)).toEqual([
      'https://localhost:5000',
      'http://localhost:5000',
    ]);
  });

  it('asks mirrors before Docker Hub, and for nothing else', () => {
    const rules = { insecureRegistries: [], mirrors: ['https://m.example/', 'http://127.0.0.1:5000'] };
    expect(endpointsOf('docker.io', rules).map(({ baseUrl, isMirror }) => [baseUrl, isMirror])).toEqual([
      ['https://m.example', true],
      ['http://127.0.0.1:5000', true],
      ['https://registry-1.docker.io', false],
    ]);
    expect(endpointsOf('r.example', rules)).toHaveLength(1);
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
    ['r.example:5000', ['r.example:5000'], true],
    ['r.example:5001', ['r.example:5000'], false],
    ['r.example:5001', ['r.example'], true],
    ['r.example', ['not a block/xx'], false],
  ])('%s with %j: %s', (host, registries, expected) => {
    expect(isInsecure(host, registries)).toBe(expected);
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
