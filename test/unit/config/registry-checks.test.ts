import { describe, expect, it } from 'vitest';
import { parsePrefixMirrors } from '../../../src/config/prefix-mirrors.ts';
import { load } from './sources.ts';

describe('registries', () => {
  it('are read in SUSE’s form, in small letters, and as flags', () => {
    const config = load({
      json: {
        registries: [
          { Prefix: 'r.example/team', Mirrors: [{ URL: 'https://m.example/r' }, { URL: 'http://n.example' }] },
          { prefix: 'http://plain:5000' },
        ],
      },
    });
    expect(config.get('registry').map(parsePrefixMirrors)).toEqual([
      { prefix: 'r.example/team', mirrors: ['https://m.example/r', 'http://n.example'] },
      { prefix: 'http://plain:5000', mirrors: [] },
    ]);
    const flags = load({ argv: ['--registry', 'prefix=r.example,mirror=https://m.example,mirror=https://n.example'] });
    expect(flags.get('registry').map(parsePrefixMirrors)).toEqual([
      { prefix: 'r.example', mirrors: ['https://m.example', 'https://n.example'] },
    ]);
  });

  const one = (Prefix: string, ...mirrors: readonly string[]) => ({ Prefix, Mirrors: mirrors.map((URL) => ({ URL })) });
  it.each([
    [{ registries: {} }, 'registries must be a list of {"Prefix", "Mirrors"}'],
    [{ registries: [7] }, 'an entry of registries must be an object'],
    [{ registries: [{ Mirrors: [] }] }, 'an entry of registries has no "Prefix"'],
    [{ registries: [{ Prefix: 'r.example', Odd: 1 }] }, 'an entry of registries has an unknown key "Odd"'],
    [{ registries: [{ Prefix: 'r.example', Mirrors: 'm' }] }, '"Mirrors" must be a list'],
    [{ registries: [{ Prefix: 'r.example', Mirrors: [{}] }] }, 'a mirror of registries has no "URL"'],
    [{ registries: [one('r.example', 'https://m.example/a,b')] }, 'a comma cannot be part of'],
    [
      { registries: [one('https://u:hidden@r.example')] },
      'username/password not allowed in "https://xxxxx:xxxxx@r.example"',
    ],
    [{ registries: [one('r.example/UP')] }, 'invalid registry prefix "r.example/UP"'],
    [{ registries: [one('r.example', 'ftp://m')] }, 'unsupported scheme "ftp" in "ftp://m"'],
    [{ registries: [one('r.example', 'https://u:hidden@m.example')] }, 'username/password not allowed in URI'],
    [{ registries: [one('r.example', 'https://docker.io')] }, 'docker.io cannot be a mirror'],
    [{ registries: [one('r.example', 'https://r.example/')] }, 'is the registry itself'],
    [{ registries: [one('http://docker.io')] }, 'docker.io is asked by HTTPS only'],
    [{ registries: [one('r.example'), one('R.example/')] }, 'the prefix "r.example" is there twice'],
    [
      { registries: [one('http://r.example/a'), one('https://r.example/b')] },
      '"r.example" is there with http:// and with https://',
    ],
    [
      { registries: [one('r.example', 'https://m.example'), one('q.example', 'https://m.example/')] },
      'the mirror "m.example" serves both "r.example" and "q.example"',
    ],
    [
      { registries: [one('https://r.example')], 'insecure-registries': ['r.example'] },
      '"r.example" is there with https:// and among insecure-registries',
    ],
    [
      { registries: [one('docker.io', 'https://m.example')], 'registry-mirrors': ['https://n.example'] },
      '"docker.io" has mirrors here and in registry-mirrors',
    ],
    [{ 'add-registry': ['r.example'], 'block-registry': ['r.example'] }, 'both added and blocked'],
    [{ 'add-registry': ['short'] }, 'invalid add-registry "short"'],
    [{ 'add-registry': ['https://r.example'] }, 'invalid add-registry'],
    [{ 'block-registry': ['some'] }, 'invalid block-registry "some"'],
    [{ 'registry-auth-file': 'auth.json' }, 'it must be absolute'],
  ])('%j: %s', (json, text) => {
    let told = '';
    try {
      load({ json });
    } catch (error) {
      told = String(error);
    }
    expect(told).toContain(text);
    expect(told).not.toContain('hidden');
  });

  it('may share a mirror host by paths, and be added while all others are blocked', () => {
    const json = {
      registries: [one('r.example', 'https://m.example/r'), one('q.example', 'https://m.example/q')],
      'add-registry': ['r.example:5000', 'localhost/team', 'docker.io'],
      'block-registry': ['all', '*', 'public', 'q.example/team'],
    };
    expect(load({ json }).get('block-registry')).toEqual(['all', '*', 'public', 'q.example/team']);
  });

  it('are words in /etc/sysconfig/docker', () => {
    const sysconfig = 'DOCKER_ADD_REGISTRIES="r.example q.example:5000"\nDOCKER_BLOCK_REGISTRIES="public"\n';
    const config = load({ sysconfig });
    expect([config.get('add-registry'), config.get('block-registry')]).toEqual([
      ['r.example', 'q.example:5000'],
      ['public'],
    ]);
  });
});
