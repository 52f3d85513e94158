import { describe, expect, it } from 'vitest';
import { familiarString, parseReference } from '../../../../src/engine/oci/reference.ts';
import {
  blockedBy,
  parsePrefix,
  refuseBlocked,
  refuseBlockedRegistry,
  searchList,
} from '../../../../src/engine/registry/names.ts';

describe('searchList', () => {
  it.each([
    ['busybox:1', [], ['busybox:1']],
    [
      'busybox:1',
      ['r.example:5000', 'q.example/team'],
      ['r.example:5000/busybox:1', 'q.example/team/busybox:1', 'busybox:1'],
    ],
    ['suse/sles', ['r.example'], ['r.example/suse/sles', 'suse/sles']],
    ['busybox', ['docker.io', 'r.example'], ['busybox', 'r.example/busybox']],
    ['other.example/busybox', ['r.example'], ['other.example/busybox']],
    ['docker.io/library/busybox:1', ['r.example'], ['r.example/busybox:1', 'busybox:1']],
    ['docker.io/a.b/c', ['r.example'], ['r.example/a.b/c', 'docker.io/a.b/c']],
    ['localhost/busybox', ['r.example'], ['localhost/busybox']],
  ])('%s with %j: %j', (text, added, wanted) => {
    expect(searchList(text, added).map(familiarString)).toEqual(wanted);
  });

  it('refuses what can be no name', () => {
    expect(() => searchList('A B', ['r.example'])).toThrow('invalid reference format');
  });
});

describe('blockedBy', () => {
  it.each([
    ['r.example/a', [], [], null],
    ['r.example/a', ['r.example'], [], 'r.example'],
    ['r.example:5000/a', ['r.example'], [], null],
    ['r.example/team/a', ['r.example/team'], [], 'r.example/team'],
    ['r.example/teams/a', ['r.example/team'], [], null],
    ['busybox', ['public'], [], 'public'],
    ['busybox', ['docker.io'], [], 'docker.io'],
    ['busybox', ['index.docker.io'], [], 'index.docker.io'],
    ['busybox', ['docker.io/busybox'], [], 'docker.io/busybox'],
    ['suse/sles', ['docker.io/suse'], [], 'docker.io/suse'],
    ['r.example/a', ['public'], [], null],
    ['r.example/a', ['all'], [], 'all'],
    ['r.example/a', ['*'], ['q.example'], '*'],
    ['q.example/a', ['all'], ['q.example'], null],
    ['q.example/b/a', ['all', 'q.example/b'], ['q.example'], 'q.example/b'],
  ])('%s with %j, added %j: %s', (text, blockedRegistries, addedRegistries, wanted) => {
    expect(blockedBy(parseReference(text), { blockedRegistries, addedRegistries })).toBe(wanted);
  });

  it('is told with the entry to blame', () => {
    const rules = { blockedRegistries: ['public', 'r.example/team'], addedRegistries: [] };
    expect(() => refuseBlocked(parseReference('busybox:1'), rules)).toThrow(
      'access to docker.io/library/busybox is refused: the registry is blocked by the configuration of this daemon ' +
        '(block-registry public)',
    );
    expect(() => refuseBlockedRegistry('docker.io', rules)).toThrow('access to docker.io is refused');
    expect(() => refuseBlockedRegistry('r.example', rules)).not.toThrow();
  });
});

describe('parsePrefix', () => {
  it.each([
    ['r.example:5000/', null, 'r.example:5000', 'r.example:5000'],
    ['HTTP://Plain/a', 'http', 'plain', 'plain/a'],
    ['https://index.docker.io', 'https', 'docker.io', 'docker.io'],
    ['suse/sles', null, 'docker.io', 'docker.io/suse/sles'],
    ['localhost/a', null, 'localhost', 'localhost/a'],
  ])('%s: %s, %s, %s', (text, scheme, host, name) => {
    expect(parsePrefix(text)).toEqual({ scheme, host, name });
  });
});
