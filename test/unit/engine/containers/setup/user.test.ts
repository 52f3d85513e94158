import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveUser } from '../../../../../src/engine/containers/setup/user.ts';
import { LinuxFiles } from '../../../../../src/engine/kernel/linux/files.ts';

const PASSWD = `# comment
root:x:0:0:root:/root:/bin/sh
web:x:33:34:www:/var/www:/bin/false
bare:x:50:51
odd:x:notanumber:1::/odd:/bin/sh

1234:x:77:78::/named-like-a-number:/bin/sh
`;
const GROUP = `root:x:0:
web:x:34:
audio:x:63:web,other
video:x:44:web
broken:x:?:web
`;

let directory = '';
let root = '';
const files = new LinuxFiles();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-user-'));
  root = join(directory, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), PASSWD);
  writeFileSync(join(root, 'etc/group'), GROUP);
});
afterEach(() => rmSync(directory, { recursive: true }));

const resolve = (user: string, groupAdd: readonly string[] = []): ReturnType<typeof resolveUser> =>
  resolveUser(files, root, user, groupAdd);

describe('a user', () => {
  it.each([
    ['', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['root', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['web', { uid: 33, gid: 34, additionalGids: [34, 63, 44], home: '/var/www' }],
    ['33', { uid: 33, gid: 34, additionalGids: [34, 63, 44], home: '/var/www' }],
    ['web:audio', { uid: 33, gid: 63, additionalGids: [63], home: '/var/www' }],
    ['web:5000', { uid: 33, gid: 5000, additionalGids: [5000], home: '/var/www' }],
    ['4000', { uid: 4000, gid: 0, additionalGids: [0], home: '/' }],
    ['4000:5000', { uid: 4000, gid: 5000, additionalGids: [5000], home: '/' }],
    [':audio', { uid: 0, gid: 63, additionalGids: [63], home: '/root' }],
    ['bare', { uid: 50, gid: 51, additionalGids: [51], home: '/' }],
    ['1234', { uid: 77, gid: 78, additionalGids: [78], home: '/named-like-a-number' }],
  ])('%j', (user, expected) => {
    expect(resolve(user)).toEqual(expected);
  });

  it('gets the groups asked for besides, each once', () => {
    expect(resolve('web', ['audio', '7', '34', '7']).additionalGids).toEqual([34, 63, 44, 7]);
  });

  it.each([
    ['nobody-here', [], 'unable to find user nobody-here: no matching entries in passwd file'],
    ['odd', [], 'unable to find user odd: no matching entries in passwd file'],
    ['web:nogroup', [], 'unable to find group nogroup: no matching entries in group file'],
    ['web', ['nogroup'], 'unable to find group nogroup: no matching entries in group file'],
    ['web', ['broken'], 'unable to find group broken: no matching entries in group file'],
    ['2147483648', [], 'uids and gids must be in range 0-2147483647'],
    ['0:2147483648', [], 'uids and gids must be in range 0-2147483647'],
    ['-1', [], 'unable to find user -1: no matching entries in passwd file'],
  ] as const)('%j with groups %j is refused', (user, groups, message) => {
    expect(() => resolve(user, groups)).toThrow(message);
  });

  it('of an image without passwd and group is a number', () => {
    rmSync(join(root, 'etc'), { recursive: true });
    expect(resolve('')).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: '/' });
    expect(resolve('12:13')).toMatchObject({ uid: 12, gid: 13 });
    expect(() => resolve('web')).toThrow('unable to find user web');
  });
});

describe('a hostile image', () => {
  it.each(['up', 'absolute', 'directory'])('cannot lead the lookup out of its root: %s', (way) => {
    const outside = join(directory, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'passwd'), 'secret:x:99:99::/secret:/bin/sh\n');
    rmSync(join(root, 'etc'), { recursive: true });
    if (way === 'directory') {
      symlinkSync(outside, join(root, 'etc'));
    } else {
      mkdirSync(join(root, 'etc'));
      symlinkSync(way === 'up' ? '../../outside/passwd' : join(outside, 'passwd'), join(root, 'etc/passwd'));
    }
    expect(() => resolve('secret')).toThrow('unable to find user secret');
  });

  it('may use links that stay inside', () => {
    mkdirSync(join(root, 'usr'));
    writeFileSync(join(root, 'usr/passwd'), 'inner:x:9:9::/inner:/bin/sh\n');
    rmSync(join(root, 'etc/passwd'));
    symlinkSync('/usr/passwd', join(root, 'etc/passwd'));
    expect(resolve('inner')).toMatchObject({ uid: 9, home: '/inner' });
  });

  it('cannot make the lookup read without end, or read what is no file', () => {
    truncateSync(join(root, 'etc/passwd'), 1 << 30);
    expect(resolve('root')).toMatchObject({ uid: 0 });
    rmSync(join(root, 'etc/passwd'));
    mkdirSync(join(root, 'etc/passwd'));
    expect(resolve('5')).toMatchObject({ uid: 5 });
  });
});
