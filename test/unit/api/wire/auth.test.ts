import { describe, expect, it } from 'vitest';
import { registryAuthFor, registryAuthOfField, registryConfigOfField } from '../../../../src/api/wire/auth.ts';

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const expected = { username: 'u', password: 'p?>~ü' };

describe('X-Registry-Auth', () => {
  const bytes = encode({ Username: 'u', password: 'p?>~ü', email: 'x', serveraddress: 'r.example', odd: 1 });
  it.each([
    ['base64', bytes.toString('base64')],
    ['base64url', bytes.toString('base64url')],
    ['base64 without padding', bytes.toString('base64').replace(/=+$/, '')],
    ['base64url with padding', bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_')],
  ])('is read as %s', (_, value) => {
    expect(registryAuthOfField(value)).toEqual(expected);
  });

  it.each([undefined, '', '{}', 'e30=', 'bnVsbA==', '%%%', 'WzFd', 'eyJ1c2VybmFtZSI6MX0='])(
    'says nothing when it is %j',
    (value) => {
      expect(registryAuthOfField(value)).toBeNull();
    },
  );

  it('takes tokens, and a pair in one word', () => {
    const read = (value: unknown) => registryAuthOfField(encode(value).toString('base64url'));
    expect(read({ identitytoken: 'i' })).toEqual({ identityToken: 'i' });
    expect(read({ registrytoken: 'r' })).toEqual({ registryToken: 'r' });
    expect(read({ auth: Buffer.from('u:p:q\0').toString('base64') })).toEqual({ username: 'u', password: 'p:q' });
    expect(read({ auth: Buffer.from('nobody').toString('base64') })).toBeNull();
  });
});

describe('X-Registry-Config', () => {
  const config = encode({
    'https://index.docker.io/v1/': { username: 'hub', password: '1' },
    'r.example:5000': { auth: Buffer.from('u:2').toString('base64') },
    'http://s.example/v2/': { identitytoken: '3' },
    broken: 7,
    nothing: {},
  }).toString('base64url');

  it('maps registries to credentials, and leaves out what is none', () => {
    expect([...registryConfigOfField(config)]).toEqual([
      ['docker.io', { username: 'hub', password: '1' }],
      ['r.example:5000', { username: 'u', password: '2' }],
      ['s.example', { identityToken: '3' }],
    ]);
    for (const value of [undefined, '', 'junk', 'W10=', 'bnVsbA==', 'MQ==']) {
      expect(registryConfigOfField(value).size).toBe(0);
    }
  });

  it.each([
    ['busybox', 'hub'],
    ['suse/sles:15', 'hub'],
    ['docker.io/busybox', 'hub'],
    ['r.example:5000/a/b', 'u'],
    ['q.example/a', undefined],
  ])('serves %s with %s', (reference, user) => {
    const fields = new Map([['x-registry-config', config]]);
    expect(registryAuthFor(reference, fields)?.username).toBe(user);
  });

  it('gives way to X-Registry-Auth', () => {
    const own = encode({ username: 'own', password: 'x' }).toString('base64');
    const fields = new Map([
      ['x-registry-config', config],
      ['x-registry-auth', own],
    ]);
    expect(registryAuthFor('busybox', fields)?.username).toBe('own');
  });
});
