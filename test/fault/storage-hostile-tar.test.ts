/** Archives that want out of their root, or lie. Each is refused, or stays inside; in both cases nothing is left over. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../src/base/errors.ts';
import type { ChainId } from '../../src/engine/oci/digest.ts';
import { leftovers, makeTestStorage, withLayer, type DriverName, type TestStorage } from '../support/layers.ts';
import { memberOf, octal, tarOf, type Member } from '../support/tar-builder.ts';

const isRoot = process.getuid?.() === 0;
const PREFIX = 'Error processing tar file(exit status 1): ';

describe.each(['overlay2', 'vfs'] satisfies DriverName[])('hostile archives on %s', (name) => {
  let storage: TestStorage;
  /** A directory outside of every layer that the archives aim at. */
  let outside: string;
  let before: string;

  beforeEach(async (context) => {
    if (!isRoot) context.skip('mounting needs root');
    storage = await makeTestStorage(name);
    outside = join(storage.root, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'passwd'), 'secret', { mode: 0o600 });
    before = state();
  });
  afterEach(async () => {
    const after = state();
    await storage[Symbol.asyncDispose]();
    expect(after).toBe(before);
  });

  /** Everything about the target that an archive could change. */
  function state(): string {
    const lines = readdirSync(outside).map((entry) => {
      const { mode, uid, nlink, mtimeMs, size } = lstatSync(join(outside, entry));
      return [entry, mode, uid, nlink, mtimeMs, size, readFileSync(join(outside, entry), 'utf8')].join(' ');
    });
    return [lstatSync(outside).mode, ...lines].join('\n');
  }

  async function unpack(archive: Buffer, parent: ChainId | null = null): Promise<ChainId> {
    return (await storage.layers.unpack({ blobPath: storage.blob(archive), parent, diffId: null })).chainId;
  }

  async function expectRefused(archive: Buffer, text: string, parent: ChainId | null = null): Promise<void> {
    const there = await leftovers(storage);
    const attempt = unpack(archive, parent);
    await expect(attempt).rejects.toThrow(new InvalidArgumentError(PREFIX + text));
    await expect(attempt).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(await leftovers(storage)).toEqual(there);
  }

  async function expectInside(members: readonly Member[], paths: Readonly<Record<string, string>>): Promise<void> {
    await withLayer(storage, await unpack(tarOf(members)), (root) => {
      for (const [path, text] of Object.entries(paths)) expect(readFileSync(join(root, path), 'utf8')).toBe(text);
    });
  }

  it('keeps absolute and climbing names inside', async () => {
    await expectInside(
      [
        { name: '/abs/file', data: '1' },
        { name: '../../../../up', data: '2' },
        { name: 'a/../../../b', data: '3' },
        { name: `/../..${'/..'.repeat(20)}/deep/x`, data: '4' },
        { name: './/.//dots', data: '5' },
        { name: '../dir/', type: '5' },
      ],
      { 'abs/file': '1', up: '2', b: '3', 'deep/x': '4', dots: '5' },
    );
  });

  it.each([
    [
      'an absolute symlink',
      (target: string) => [
        { name: 'link', type: '2', linkName: target },
        { name: 'link/passwd', data: 'evil' },
      ],
    ],
    [
      'a climbing symlink',
      (target: string) => [
        { name: 'link', type: '2', linkName: `../../../../../../../../..${target}` },
        { name: 'link/passwd', data: 'evil' },
      ],
    ],
    [
      'a chain of symlinks',
      (target: string) => [
        { name: 'one', type: '2', linkName: 'two' },
        { name: 'two', type: '2', linkName: `..${target}` },
        { name: 'one/passwd', data: 'evil' },
      ],
    ],
  ])('does not write through %s', async (_what, members) => {
    const inside = outside
      .slice(1)
      .split('/')
      .map((_, index, all) => ({ name: `${all.slice(0, index + 1).join('/')}/`, type: '5' }));
    const chainId = await unpack(tarOf([...inside, ...members(outside)]));
    // The link is followed below the layer's root, as in a chroot.
    await withLayer(storage, chainId, (root) =>
      expect(readFileSync(join(root, outside, 'passwd'), 'utf8')).toBe('evil'),
    );
  });

  it('does not follow a symlink that a parent layer brought', async () => {
    const parent = await unpack(tarOf([{ name: 'link', type: '2', linkName: outside }]));
    const archive = tarOf([{ name: 'link/passwd', data: 'evil' }]);
    if (name === 'overlay2') await unpack(archive, parent);
    else await expectRefused(archive, 'open /link/passwd: no such file or directory', parent);
  });

  it('replaces a symlink by the file of the same name', async () => {
    await expectInside(
      [
        { name: 'passwd', type: '2', linkName: join(outside, 'passwd') },
        { name: 'passwd', data: 'evil' },
      ],
      { passwd: 'evil' },
    );
  });

  it('changes mode, owner and times of the symlink, not of its target', async () => {
    await unpack(
      tarOf([
        {
          name: 'link',
          type: '2',
          linkName: join(outside, 'passwd'),
          mode: 0o777,
          uid: 99,
          mtime: 1,
          pax: { 'SCHILY.xattr.user.x': 'y' },
        },
      ]),
    );
  });

  it('does not change a directory behind a symlink', async () => {
    await expectInside(
      [
        { name: 'dir', type: '2', linkName: outside },
        { name: 'dir/', type: '5', mode: 0o777 },
        { name: 'dir/in', data: 'x' },
      ],
      { 'dir/in': 'x' },
    );
  });

  it.each(['/passwd', '../../passwd'])('does not link to a file outside by %s', async (tail) => {
    const target = join(outside, tail.replaceAll('../', '../'.repeat(1)));
    await expectRefused(
      tarOf([{ name: 'hard', type: '1', linkName: target }]),
      `link ${target} /hard: no such file or directory`,
    );
  });

  it('does not link through a symlink', async () => {
    const members: Member[] = [
      { name: 'dir', type: '2', linkName: outside },
      { name: 'hard', type: '1', linkName: 'dir/passwd' },
    ];
    await expectRefused(tarOf(members), 'link /dir/passwd /hard: no such file or directory');
  });

  it('links to a symlink itself, and writing to the link replaces it', async () => {
    const members: Member[] = [
      { name: 'soft', type: '2', linkName: join(outside, 'passwd') },
      { name: 'hard', type: '1', linkName: 'soft' },
      { name: 'hard', data: 'mine', mode: 0o777 },
    ];
    await expectInside(members, { hard: 'mine' });
  });

  it.each(['.wh.', '.wh..', '.wh...', 'a/.wh...', '../.wh...'])('refuses the whiteout %s', async (whiteout) => {
    await expectRefused(
      tarOf([{ name: 'a/b' }, { name: whiteout }]),
      `invalid whiteout name: ${whiteout.split('/').at(-1)!}`,
    );
  });

  it('does not delete outside by whiteouts', async () => {
    const parent = await unpack(tarOf([{ name: 'link', type: '2', linkName: outside }, { name: 'keep' }]));
    const members: Member[] = [
      { name: '../../.wh.keep' },
      { name: `../../..${outside}/.wh.passwd` },
      { name: `${outside}/.wh..wh..opq` },
      { name: 'up', type: '2', linkName: '/../../..' },
    ];
    await withLayer(storage, await unpack(tarOf(members), parent), (root) =>
      expect(existsSync(join(root, 'keep'))).toBe(false),
    );
  });

  it('does not delete behind a symlink by whiteouts', async () => {
    await unpack(
      tarOf([
        { name: 'link', type: '2', linkName: outside },
        { name: `${outside.slice(1)}/`, type: '5' },
        { name: 'link/.wh.passwd' },
        { name: 'link/.wh..wh..opq' },
      ]),
    );
  });

  it('makes device nodes in the layer only', async () => {
    const chainId = await unpack(
      tarOf([
        { name: '../../dev/sda', type: '4', major: 8, minor: 0 },
        { name: 'whiteout', type: '3', major: 0, minor: 0 },
      ]),
    );
    await withLayer(storage, chainId, (root) => expect(lstatSync(join(root, 'dev/sda')).isBlockDevice()).toBe(true));
  });

  it('leaves out attributes that would steer overlayfs', async () => {
    const pax = {
      'SCHILY.xattr.trusted.overlay.redirect': '/etc',
      'SCHILY.xattr.trusted.overlay.metacopy': '',
      'SCHILY.xattr.user.overlay.opaque': 'y',
      'SCHILY.xattr.user.fine': '1',
    };
    const chainId = await unpack(tarOf([{ name: 'dir/', type: '5', pax }]));
    await withLayer(storage, chainId, (root) =>
      expect(storage.files.listXattrs(join(root, 'dir'))).toEqual(['user.fine']),
    );
  });

  it('goes on without attributes that the file system does not take', async () => {
    await expectInside([{ name: 'file', data: 'x', pax: { 'SCHILY.xattr.nonsense.name': 'y' } }], { file: 'x' });
  });

  it.each([
    [
      'a name of a thousand letters',
      [{ name: 'x', pax: { path: 'n'.repeat(1000) } }],
      `open /${'n'.repeat(1000)}: file name too long`,
    ],
    ['a file below a file', [{ name: 'file', data: 'x' }, { name: 'file/below' }], 'open /file/below: not a directory'],
    [
      'a symlink loop',
      [{ name: 'a', type: '2', linkName: 'b' }, { name: 'b', type: '2', linkName: 'a' }, { name: 'a/file' }],
      'open /a/file: too many levels of symbolic links',
    ],
    [
      'a hard link to a directory',
      [
        { name: 'dir/', type: '5' },
        { name: 'hard', type: '1', linkName: 'dir' },
      ],
      'link /dir /hard: operation not permitted',
    ],
    ['a file in place of the root', [{ name: './', data: 'x' }], '"./" is not a directory'],
    ['an empty symlink', [{ name: 'soft', type: '2', linkName: '' }], 'symlink  /soft: no such file or directory'],
  ] as const)('refuses %s', async (_what, members, text) => {
    await expectRefused(tarOf(members), text);
  });

  it('takes names of any length whose parts fit', async () => {
    const path = Array.from({ length: 60 }, () => 'd'.repeat(200)).join('/');
    const chainId = await unpack(tarOf([{ name: 'x', pax: { path: `${path}/file` }, data: 'deep' }]));
    expect((await storage.layers.stat(chainId))?.sizeBytes).toBe(4);
  });

  it.each([
    ['a cut archive', memberOf({ name: 'file', data: 'x'.repeat(5000) }).subarray(0, 2000), 'unexpected EOF'],
    ['a size that lies', memberOf({ name: 'file', data: 'x', size: 2 ** 32 }), 'unexpected EOF'],
    ['a cut gzip', gzipSync(tarOf([{ name: 'file', data: 'x'.repeat(5000) }])).subarray(0, 60), 'unexpected EOF'],
    [
      'a cut zstd',
      zstdCompressSync(tarOf([{ name: 'file', data: 'x'.repeat(5000) }])).subarray(0, 40),
      'unexpected EOF',
    ],
    [
      'a bad checksum',
      tarOf([{ name: 'file', spoil: (block) => block.write('F', 0) }]),
      'archive/tar: invalid tar header',
    ],
    ['no archive at all', Buffer.from('#!/bin/sh\n'.repeat(200)), 'archive/tar: invalid tar header'],
    [
      'bzip2',
      Buffer.from('BZh91AY&SY'),
      'layer compression bzip2 is not supported by this version: use gzip, zstd or none',
    ],
    [
      'a sparse file of more than there is',
      tarOf([{ name: 'x', pax: { 'GNU.sparse.size': '10', 'GNU.sparse.map': '0,20' }, data: 'x'.repeat(20) }]),
      'archive/tar: invalid tar header',
    ],
    [
      'a header that is too long',
      tarOf([{ name: 'x', type: 'x', size: 2 ** 31 }]),
      'archive/tar: header field too long',
    ],
  ])('refuses %s', async (_what, archive, text) => {
    await expectRefused(archive, text);
  });

  it('refuses a gzip with a wrong checksum', async () => {
    const blob = gzipSync(tarOf([{ name: 'file', data: 'x'.repeat(5000) }]));
    blob.writeUInt32LE(1, blob.length - 8);
    await expectRefused(blob, 'incorrect data check');
  });

  it('gives a sparse file of a terabyte no more than its data', async () => {
    const edit = (block: Buffer): void => {
      octal(block, 386, 12, 0);
      octal(block, 398, 12, 1);
      block.fill(0, 483, 495);
      block[483] = 0x80;
      block.writeUInt32BE(256, 487);
    };
    const chainId = await unpack(tarOf([{ name: 'huge', type: 'S', data: 'x', edit }]));
    await withLayer(storage, chainId, (root) => {
      expect(lstatSync(join(root, 'huge')).size).toBe(2 ** 40);
      expect(lstatSync(join(root, 'huge')).blocks).toBeLessThan(100);
    });
  });

  it('works on after all of these', async () => {
    await expectRefused(Buffer.alloc(600, 1), 'archive/tar: invalid tar header');
    await expectInside([{ name: 'file', data: 'fine' }], { file: 'fine' });
    rmSync(join(storage.root, 'blob-1'));
    await expect(
      storage.layers.unpack({ blobPath: join(storage.root, 'blob-1'), parent: null, diffId: null }),
    ).rejects.toThrow('blob-1');
  });
});
