import { describe, expect, it } from 'vitest';
import { isGitAddress, parseGitAddress } from '../../../../../src/engine/build/context/git-address.ts';

describe('isGitAddress', () => {
  it.each([
    ['git://host/x', true],
    ['git@host:x/y', true],
    ['github.com/docker/docker', true],
    ['ssh://git@host/x', true],
    ['https://host/x.git', true],
    ['http://host/x.git#ref:dir', true],
    ['https://host/x.git?token=y', false],
    ['https://host/x.tar', false],
    ['host.git', false],
    ['file:///x.git', false],
    ['ext::sh -c x', false],
  ])('%s: %s', (address, expected) => {
    expect(isGitAddress(address)).toBe(expected);
  });
});

describe('parseGitAddress', () => {
  it.each([
    ['https://host/x.git', { remote: 'https://host/x.git', ref: '', directory: '' }],
    ['git@host:x.git#main', { remote: 'git@host:x.git', ref: 'main', directory: '' }],
    ['github.com/a/b#:c/d', { remote: 'https://github.com/a/b', ref: '', directory: 'c/d' }],
    ['git://host/x#pull/42/head:d', { remote: 'git://host/x', ref: 'pull/42/head', directory: 'd' }],
    ['https://u:p@host:8443/x.git#v1:', { remote: 'https://u:p@host:8443/x.git', ref: 'v1', directory: '' }],
  ])('%s', (address, expected) => {
    expect(parseGitAddress(address)).toEqual(expected);
  });

  it.each([
    'git@-o:x',
    'git@host',
    'ssh://-oProxyCommand=x/y',
    'https://user@-x/y.git',
    'git://a b/c',
    'git://h/\u0001',
  ])('refuses %j', (address) => {
    expect(() => parseGitAddress(address)).toThrow('invalid git repository address');
  });

  it('refuses a reference that is a flag', () => {
    expect(() => parseGitAddress('git://host/x#--upload-pack=y')).toThrow('invalid refspec: --upload-pack=y');
  });
});
