import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bindRemountFlags,
  mountAttributes,
  parseMountOptions,
  splitOverlayLayers,
  superblockWords,
} from '../../../../src/engine/kernel/linux/mount-options.ts';
import { mountPointsBelow } from '../../../../src/engine/kernel/linux/mounts.ts';

const [RDONLY, NOSUID, NODEV, NOATIME, REMOUNT, BIND, REC] = [1, 2, 4, 1024, 32, 4096, 16384];
const RELATIME = 1 << 21;

describe('parseMountOptions', () => {
  it('sorts words by who takes them', () => {
    const words = ['defaults', 'rbind', 'ro', 'nosuid', 'rprivate', 'shared', 'size=1m', 'x-gvfs', '_netdev', ''];
    expect(parseMountOptions(words)).toEqual({
      flags: BIND | REC | RDONLY | NOSUID,
      cleared: 0,
      propagation: [(1 << 18) | REC, 1 << 20],
      data: ['size=1m'],
    });
  });

  it('lets the later word win', () => {
    expect(parseMountOptions(['ro', 'rw', 'nodev'])).toMatchObject({ flags: NODEV, cleared: RDONLY });
    expect(parseMountOptions(['dev', 'nodev'])).toMatchObject({ flags: NODEV, cleared: 0 });
    expect(parseMountOptions(['relatime', 'noatime']).flags).toBe(NOATIME);
  });

  it('passes on every word that it does not know, whatever it is', () => {
    expect(parseMountOptions(['constructor', 'toString', '__proto__']).data).toEqual([
      'constructor',
      'toString',
      '__proto__',
    ]);
  });
});

describe('bindRemountFlags', () => {
  it('does nothing when the bind is as wanted already', () => {
    expect(bindRemountFlags(parseMountOptions(['rbind', 'rprivate', 'rw']), 0)).toBeNull();
    expect(bindRemountFlags(parseMountOptions(['bind', 'nodev']), NODEV)).toBeNull();
  });

  it('keeps what the source forbids unless a word allows it', () => {
    const inherited = NODEV | NOSUID | 4096;
    expect(bindRemountFlags(parseMountOptions(['bind', 'ro']), inherited)).toBe(
      REMOUNT | BIND | RDONLY | NODEV | NOSUID | RELATIME,
    );
    expect(bindRemountFlags(parseMountOptions(['bind', 'dev']), inherited)).toBe(REMOUNT | BIND | NOSUID | RELATIME);
    expect(bindRemountFlags(parseMountOptions(['bind', 'noatime']), inherited)).toBe(
      REMOUNT | BIND | NODEV | NOSUID | NOATIME,
    );
  });
});

describe('the new mount API', () => {
  it('has its own words for flags', () => {
    const { flags } = parseMountOptions(['ro', 'nodev', 'noatime', 'nosymfollow', 'dirsync']);
    expect(mountAttributes(flags)).toBe(1 | 4 | 0x10 | 0x200000);
    expect(superblockWords(flags)).toEqual(['ro', 'dirsync']);
  });

  it('takes layers one by one, less their escapes', () => {
    expect(splitOverlayLayers(['lowerdir=/a\\:b:/c\\\\d', 'upperdir=/u', 'volatile', 'xino=off'])).toEqual([
      ['lowerdir+', '/a:b'],
      ['lowerdir+', '/c\\d'],
      ['upperdir', '/u'],
      ['volatile', null],
      ['xino', 'off'],
    ]);
  });

  it('gives back every list of layers', () => {
    const layers = fc.array(fc.stringMatching(/^[/a-z:\\,]{1,20}$/), { minLength: 1 });
    fc.assert(
      fc.property(layers, (paths) => {
        const escaped = paths.map((path) => path.replaceAll(/[\\:]/g, '\\$&')).join(':');
        const split = splitOverlayLayers([`lowerdir=${escaped}`]);
        expect(split.map(([, value]) => value)).toEqual(paths);
      }),
    );
  });
});

describe('mountPointsBelow', () => {
  const mountinfo = [
    '22 1 0:21 / / rw - ext4 /dev/vda rw',
    '23 22 0:22 / /data rw,nodev shared:3 - tmpfs tmpfs rw',
    '24 23 0:23 / /data/a\\040b rw - tmpfs tmpfs rw',
    '25 23 0:24 / /data/c/d rw - tmpfs tmpfs rw',
    '26 22 0:25 / /database rw - tmpfs tmpfs rw',
    '27 25 0:26 / /data/c/d rw - tmpfs tmpfs rw',
    '',
  ].join('\n');

  it('lists those at and below, deepest first', () => {
    expect(mountPointsBelow(mountinfo, '/data')).toEqual(['/data/c/d', '/data/c/d', '/data/a b', '/data']);
    expect(mountPointsBelow(mountinfo, '/data/c')).toEqual(['/data/c/d', '/data/c/d']);
    expect(mountPointsBelow(mountinfo, '/dat')).toEqual([]);
    expect(mountPointsBelow(mountinfo, '/').at(-1)).toBe('/');
  });
});
