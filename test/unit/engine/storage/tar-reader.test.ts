import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import type { TarEntry } from '../../../../src/engine/storage/layers/tar/entry.ts';
import { TarReader } from '../../../../src/engine/storage/layers/tar/reader.ts';
import { memberOf, octal, tarOf, type Member } from '../../../support/tar-builder.ts';

interface ReadMember {
  readonly entry: TarEntry;
  readonly data: Buffer;
  readonly ended: boolean;
}

function read(archive: Buffer, chunkSize = archive.length): readonly ReadMember[] {
  const members: { entry: TarEntry; data: Buffer; ended: boolean }[] = [];
  const reader = new TarReader({
    entry: (entry) => members.push({ entry, data: Buffer.alloc(entry.sizeBytes, '.'), ended: false }),
    data: (chunk, position) => void chunk.copy(members.at(-1)!.data, position),
    end: () => (members.at(-1)!.ended = true),
  });
  for (let at = 0; at < archive.length; at += chunkSize) reader.push(archive.subarray(at, at + chunkSize));
  reader.finish();
  return members;
}

function readOne(...members: readonly Member[]): ReadMember {
  const [first, ...others] = read(tarOf(members));
  expect(others).toEqual([]);
  return first!;
}

describe('TarReader', () => {
  it('reads an ordinary file with all its fields', () => {
    const { entry, data, ended } = readOne({
      name: 'etc/hosts',
      data: 'hello',
      mode: 0o104755,
      uid: 7,
      gid: 8,
      mtime: 99,
    });
    expect(entry).toMatchObject({
      type: 'file',
      name: 'etc/hosts',
      sizeBytes: 5,
      mode: 0o4755,
      uid: 7,
      gid: 8,
      mtimeNs: 99_000_000_000n,
      sparse: null,
    });
    expect(data.toString()).toBe('hello');
    expect(ended).toBe(true);
  });

  it.each([
    ['0', 'file'],
    ['\0', 'file'],
    ['7', 'file'],
    ['1', 'hardlink'],
    ['2', 'symlink'],
    ['3', 'character'],
    ['4', 'block'],
    ['5', 'directory'],
    ['6', 'fifo'],
  ])('knows type %j as %s', (type, expected) => {
    expect(readOne({ name: 'x', type, linkName: 'target', major: 1, minor: 3 }).entry).toMatchObject({
      type: expected,
      linkName: 'target',
      deviceMajor: 1,
      deviceMinor: 3,
    });
  });

  it('takes a v7 name that ends in a slash for a directory', () => {
    expect(readOne({ name: 'dir/', type: '\0' }).entry.type).toBe('directory');
  });

  it('joins ustar prefix and name', () => {
    expect(readOne({ name: 'name', edit: (block) => block.write('a/prefix', 345) }).entry.name).toBe('a/prefix/name');
  });

  it('ignores the size of what has no data', () => {
    const members = read(tarOf([{ name: 'link', type: '1', linkName: 'x', size: 4096 }, { name: 'next' }]));
    expect(members.map(({ entry }) => entry.name)).toEqual(['link', 'next']);
  });

  it('reads GNU long names and links', () => {
    const long = 'd/'.repeat(200) + 'name';
    const gnu: Member[] = [
      { name: '././@LongLink', type: 'L', data: `${long}\0` },
      { name: '././@LongLink', type: 'K', data: `${long}2\0` },
      { name: 'short', type: '2' },
    ];
    expect(readOne(...gnu).entry).toMatchObject({ name: long, linkName: `${long}2` });
  });

  it('reads base-256 numbers, negative times too', () => {
    const edit = (block: Buffer): void => {
      block.fill(0, 108, 116);
      block.writeUInt8(0x80, 108);
      block.writeUInt32BE(3_000_000_000, 112);
      block.fill(0xff, 136, 148);
    };
    expect(readOne({ name: 'x', edit }).entry).toMatchObject({ uid: 3_000_000_000, mtimeNs: -1_000_000_000n });
  });

  it('lets PAX records win', () => {
    const pax = {
      path: 'ü/long\nname',
      linkpath: 'ziel',
      uid: '70000',
      gid: '70001',
      mtime: '12.000000345',
      size: '3',
      'SCHILY.xattr.security.capability': Buffer.from([1, 0, 2, 10]),
      comment: 'x',
    };
    const { entry, data } = readOne({
      name: 'x',
      pax,
      data: 'abc',
      size: 0,
      edit: (block) => octal(block, 124, 12, 0),
    });
    expect(Buffer.from(entry.name, 'latin1').toString()).toBe('ü/long\nname');
    expect(entry).toMatchObject({ linkName: 'ziel', uid: 70_000, gid: 70_001, mtimeNs: 12_000_000_345n, sizeBytes: 3 });
    expect(entry.xattrs.get('security.capability')).toEqual(Buffer.from([1, 0, 2, 10]));
    expect(data.toString()).toBe('abc');
  });

  it('applies PAX records to one member only and global ones to none', () => {
    const archive = tarOf([
      { name: 'global', type: 'g', data: '12 path=all\n' },
      { name: 'a', pax: { path: 'b' } },
      { name: 'c' },
    ]);
    expect(read(archive).map(({ entry }) => entry.name)).toEqual(['b', 'c']);
  });

  it('keeps bytes of names that are no UTF-8', () => {
    expect(readOne({ name: 'caf\u00e9', encoding: 'latin1' }).entry.name).toBe('caf\u00e9');
  });

  it.each([
    ['0.1', { 'GNU.sparse.size': '20', 'GNU.sparse.map': '2,3,10,4', 'GNU.sparse.name': 'real' }, 'abcdefg'],
    [
      '1.0',
      { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '20', 'GNU.sparse.name': 'real' },
      Buffer.concat([Buffer.from('2\n2\n3\n10\n4\n'.padEnd(512, '\0')), Buffer.from('abcdefg')]),
    ],
  ])('reads sparse files of PAX %s', (_version, pax, stored) => {
    const { entry, data } = readOne({ name: 'GNUSparseFile.1/x', pax, data: stored });
    expect(entry).toMatchObject({
      name: 'real',
      sizeBytes: 20,
      sparse: [
        { offset: 2, length: 3 },
        { offset: 10, length: 4 },
      ],
    });
    expect(data.toString()).toBe('..abc.....defg......');
  });

  it('reads sparse files of PAX 0.0, whose records repeat', () => {
    const records =
      '22 GNU.sparse.size=20\n23 GNU.sparse.offset=2\n25 GNU.sparse.numbytes=3\n24 GNU.sparse.offset=10\n25 GNU.sparse.numbytes=4\n';
    const [member] = read(
      tarOf([
        { name: 'x', type: 'x', data: records },
        { name: 'x', data: 'abcdefg' },
      ]),
    );
    expect(member!.data.toString()).toBe('..abc.....defg......');
  });

  it('reads old GNU sparse files with extension blocks', () => {
    const extension = Buffer.alloc(512);
    octal(extension, 0, 12, 16);
    octal(extension, 12, 12, 2);
    const edit = (block: Buffer): void => {
      for (const index of [0, 1, 2, 3]) {
        octal(block, 386 + index * 24, 12, index * 4);
        octal(block, 386 + index * 24 + 12, 12, 1);
      }
      block[482] = 1;
      octal(block, 483, 12, 20);
    };
    const header = memberOf({ name: 'x', type: 'S', size: 6, edit });
    const [member] = read(
      Buffer.concat([header, extension, Buffer.from('abcdef'.padEnd(512, '\0')), Buffer.alloc(1024)]),
    );
    expect(member!.data.toString()).toBe('a...b...c...d...ef..');
  });

  it('ends at two blocks of zeros and ignores what follows', () => {
    expect(read(Buffer.concat([tarOf([{ name: 'a' }]), Buffer.from('rubbish')]))).toHaveLength(1);
  });

  it('takes the end of the input for the end, at a member boundary', () => {
    expect(read(memberOf({ name: 'a', data: 'x' }))).toHaveLength(1);
    // As the docker CLI ends a context that it has put a Dockerfile into.
    expect(read(memberOf({ name: 'a', data: 'x' }).subarray(0, 513))).toHaveLength(1);
    expect(read(Buffer.alloc(0))).toEqual([]);
    expect(read(Buffer.alloc(512))).toEqual([]);
  });

  it.each([
    ['in a header', memberOf({ name: 'a' }).subarray(0, 300)],
    ['in data', memberOf({ name: 'a', data: 'x'.repeat(600) }).subarray(0, 800)],
    ['where a lying size wants more', memberOf({ name: 'a', data: 'x', size: 100_000 })],
  ])('refuses an archive that ends %s', (_where, archive) => {
    expect(() => read(archive)).toThrow(new InvalidArgumentError('unexpected EOF'));
  });

  it.each([
    ['a bad checksum', tarOf([{ name: 'a', spoil: (block) => block.write('b', 0) }])],
    ['rubbish', Buffer.alloc(1024, 'rubbish')],
    ['letters in a number', tarOf([{ name: 'a', edit: (block) => block.write('12x4', 124) }])],
    ['a negative size', tarOf([{ name: 'a', edit: (block) => block.fill(0xff, 124, 136) }])],
    ['a size beyond all files', tarOf([{ name: 'a', edit: (block) => block.fill(0x80, 124, 136) }])],
    ['a header after one block of zeros', Buffer.concat([Buffer.alloc(512), tarOf([{ name: 'a' }])])],
    ['a PAX record longer than its header', tarOf([{ name: 'x', type: 'x', data: '99 path=a\n' }, { name: 'a' }])],
    ['a PAX record without key', tarOf([{ name: 'x', type: 'x', data: '5 =a\n' }, { name: 'a' }])],
    ['a NUL in a PAX path', tarOf([{ name: 'a', pax: { path: 'a\0b' } }])],
    [
      'a sparse map that overlaps',
      tarOf([{ name: 'a', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '0,4,2,4' }, data: '12345678' }]),
    ],
    [
      'a sparse map beyond the file',
      tarOf([{ name: 'a', pax: { 'GNU.sparse.size': '3', 'GNU.sparse.map': '0,4' }, data: '1234' }]),
    ],
    [
      'a sparse map of other length than the data',
      tarOf([{ name: 'a', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '0,4' }, data: '12345' }]),
    ],
  ])('refuses %s', (_what, archive) => {
    expect(() => read(archive)).toThrow(new InvalidArgumentError('archive/tar: invalid tar header'));
  });

  it('refuses headers without bound and unknown types', () => {
    expect(() => read(tarOf([{ name: 'x', type: 'x', size: 2 ** 30 }]))).toThrow('archive/tar: header field too long');
    expect(() => read(tarOf([{ name: 'x', type: 'V' }]))).toThrow('unhandled tar header type 86');
  });

  it('reads the same whatever the chunks', () => {
    const archive = tarOf([
      { name: 'a', data: 'x'.repeat(1000), pax: { path: 'long/a' } },
      { name: 'dir', type: '5' },
      { name: 's', pax: { 'GNU.sparse.size': '2000', 'GNU.sparse.map': '0,600,1000,500' }, data: 'y'.repeat(1100) },
      { name: 'empty' },
    ]);
    const whole = read(archive);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), (size) => {
        expect(read(archive, size)).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });

  it('answers any bytes with members or InvalidArgumentError', () => {
    const valid = tarOf([
      { name: 'a', data: 'abc', pax: { path: 'b', size: '3' } },
      { name: 'l', type: '2', linkName: 't' },
    ]);
    const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(edits, (changes) => {
        const archive = Buffer.from(valid);
        for (const [at, byte] of changes) archive[at] = byte;
        try {
          read(archive);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
