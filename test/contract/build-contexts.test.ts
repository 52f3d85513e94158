import { spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
  chmodSync,
  chownSync,
  truncateSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { createGzip, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { InvalidArgumentError, UnavailableError } from '../../src/base/errors.ts';
import { makeContexts, type TestContexts } from '../support/build-contexts.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const DOCKERFILE: Member = { name: 'Dockerfile', data: 'FROM scratch\n' };

function contextsForTest(): TestContexts {
  const made = makeContexts();
  onTestFinished(() => made[Symbol.dispose]());
  return made;
}

function namesIn(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
}

describe('a context from a tar', () => {
  const plain = tarOf([
    DOCKERFILE,
    { name: 'src/', type: '5', mode: 0o750 },
    { name: 'src/main.c', data: 'int main;'.repeat(5000), mode: 0o640, mtime: 1234 },
    { name: 'link', type: '2', linkName: 'src/main.c' },
    { name: 'hard', type: '1', linkName: 'src/main.c' },
  ]);

  it.each([
    ['plain', plain],
    ['gzip', gzipSync(plain)],
    ['gzip in two members', Buffer.concat([gzipSync(plain.subarray(0, 700)), gzipSync(plain.subarray(700))])],
    ['zstd', zstdCompressSync(plain)],
    [
      'zstd in frames with a skippable one',
      Buffer.concat([
        Buffer.from('502a4d1804000000deadbeef', 'hex'),
        zstdCompressSync(plain.subarray(0, 700)),
        zstdCompressSync(plain.subarray(700)),
      ]),
    ],
    ['bzip2', byProgram('bzip2', plain)],
    ['xz', byProgram('xz', plain)],
  ])('unpacks %s', async (_, bytes) => {
    const made = contextsForTest();
    {
      await using context = await made.open(bytes);
      expect(namesIn(context.root)).toEqual(['Dockerfile', 'hard', 'link', 'src', 'src/main.c']);
      const info = statSync(join(context.root, 'src/main.c'));
      expect([info.mode & 0o777, info.mtimeMs, info.nlink, info.size]).toEqual([0o640, 1234_000, 2, 45_000]);
      expect(statSync(join(context.root, 'src')).mode & 0o777).toBe(0o750);
      expect(await context.dockerfile('Dockerfile')).toEqual({ text: 'FROM scratch\n', name: 'Dockerfile' });
      expect(made.left()).toHaveLength(1);
    }
    expect(made.left()).toEqual([]);
  });

  it('begins before all has come', async () => {
    const made = contextsForTest();
    const tar = new PassThrough();
    const opening = made.open({ kind: 'tar', tar });
    tar.write(plain.subarray(0, 1536));
    await expect
      .poll(() => made.left().some((name) => existsSync(join(made.directory, name, 'Dockerfile'))))
      .toBe(true);
    tar.end(plain.subarray(1536));
    await using context = await opening;
    expect(namesIn(context.root)).toContain('src/main.c');
  });

  it('reads on behind the end of the archive', async () => {
    const made = contextsForTest();
    const tar = Readable.from([plain, Buffer.alloc(3_000_000, 'x')], { objectMode: false });
    await using context = await made.open({ kind: 'tar', tar });
    expect([namesIn(context.root).length, tar.readableEnded]).toEqual([5, true]);
  });

  it.each([
    ['a name that leads up', [{ name: '../../../outside', data: 'x' }], 'outside'],
    ['an absolute name', [{ name: '/outside', data: 'x' }], 'outside'],
    [
      'a name through a link',
      [
        { name: 'way', type: '2', linkName: '../..' },
        { name: 'way/outside', data: 'x' },
      ],
      'outside',
    ],
  ])('keeps %s inside', async (_, members, name) => {
    const made = contextsForTest();
    await using context = await made.open(tarOf([DOCKERFILE, ...members]));
    expect(lstatSync(join(context.root, name)).size).toBe(1);
    expect(readdirSync(made.scratch)).toEqual(['contexts']);
    expect(made.left()).toHaveLength(1);
  });

  it('reads no file of the host by links', async () => {
    const made = contextsForTest();
    const absolute = tarOf([{ name: 'Dockerfile', type: '2', linkName: '/etc/hostname' }]);
    await expect(made.open(absolute)).rejects.toThrow('Cannot locate specified Dockerfile: Dockerfile');
    const hard = tarOf([{ name: 'Dockerfile', type: '1', linkName: '/etc/hostname' }]);
    await expect(made.open(hard)).rejects.toThrow('no such file or directory');
    expect(made.left()).toEqual([]);
  });

  it.each([
    ['no archive', Buffer.alloc(2048, 'x'), 'archive/tar: invalid tar header'],
    ['a cut one', plain.subarray(0, 3000), 'unexpected EOF'],
    ['a cut gzip', gzipSync(plain).subarray(0, 200), 'unexpected EOF'],
    ['a cut zstd', zstdCompressSync(plain).subarray(0, 200), 'unexpected EOF'],
    ['a broken gzip', Buffer.concat([gzipSync(plain).subarray(0, 60), Buffer.alloc(400, 255)]), 'invalid'],
    ['a broken xz', Buffer.from('fd377a585a0000', 'hex'), 'xz: '],
    ['nothing', Buffer.alloc(0), 'Cannot locate specified Dockerfile: Dockerfile'],
  ])('refuses %s and leaves nothing', async (_, bytes, words) => {
    const made = contextsForTest();
    const error: unknown = await made.open(bytes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(String(error)).toContain(words);
    expect(made.left()).toEqual([]);
  });

  it('ends with its client, or when it is told to', async () => {
    const made = contextsForTest();
    const broken = new PassThrough();
    const first = made.open({ kind: 'tar', tar: broken });
    broken.write(plain.subarray(0, 1000));
    broken.destroy(new Error('client has gone'));
    await expect(first).rejects.toThrow('client has gone');
    const stop = new AbortController();
    const silent = new PassThrough();
    silent.write(plain.subarray(0, 1000));
    const second = made.open({ kind: 'tar', tar: silent }, { signal: stop.signal });
    await expect.poll(() => made.left().length).toBe(1);
    stop.abort(new Error('cancelled'));
    await expect(second).rejects.toThrow('cancelled');
    expect([made.left(), silent.destroyed]).toEqual([[], true]);
  });

  it('stops a gzip that unpacks to more than there is', async () => {
    const made = contextsForTest();
    const disk = smallDisk(made.scratch);
    const gzip = createGzip({ level: 1 });
    const head = tarOf([{ name: 'bomb', data: '', size: 0o77777777777 }]).subarray(0, 512);
    const bomb = Readable.from(
      (function* (): Generator<Buffer> {
        yield head;
        const zeros = Buffer.alloc(1024 * 1024);
        for (let at = 0; at < 512; at += 1) yield zeros;
      })(),
    ).pipe(gzip);
    const failed: unknown = await made.open({ kind: 'tar', tar: bomb }).catch((thrown: unknown) => thrown);
    expect(failed).toBeInstanceOf(UnavailableError);
    expect(String(failed)).toContain('no space left on device');
    expect(readdirSync(disk)).toEqual([]);
  });

  it('takes the Dockerfile and .dockerignore away if the latter says so, and nothing else', async () => {
    const made = contextsForTest();
    const members = [DOCKERFILE, { name: '.dockerignore', data: '*\n!src\n' }, { name: 'a' }, { name: 'src/b' }];
    await using context = await made.open(tarOf(members));
    expect(namesIn(context.root)).toEqual(['a', 'src', 'src/b']);
    expect((await context.dockerfile('Dockerfile')).text).toBe('FROM scratch\n');
    await expect(context.dockerfile('x')).rejects.toThrow('Cannot locate specified Dockerfile: x');
  });
});

describe('the Dockerfile', () => {
  it.each([
    ['Dockerfile', [{ name: 'dockerfile', data: 'FROM a' }], 'FROM a', 'dockerfile'],
    ['', [{ name: 'Dockerfile', data: 'FROM e' }], 'FROM e', 'Dockerfile'],
    ['a/b/D', [{ name: 'a/b/D', data: 'FROM b' }], 'FROM b', 'a/b/D'],
    ['/a/D', [{ name: 'a/D', data: 'FROM c' }], 'FROM c', '/a/D'],
    [
      'L',
      [
        { name: 'L', type: '2', linkName: '/../x/D' },
        { name: 'x/D', data: 'FROM d' },
      ],
      'FROM d',
      'L',
    ],
  ])('%s is found', async (path, members, text, name) => {
    const made = contextsForTest();
    await using context = await made.open(tarOf(members), { dockerfile: path });
    expect(await context.dockerfile(path)).toEqual({ text, name });
  });

  it.each([
    ['Dockerfile', [{ name: 'other' }], 'Cannot locate specified Dockerfile: Dockerfile'],
    ['', [{ name: 'other' }], 'Cannot locate specified Dockerfile: Dockerfile'],
    ['x/y', [{ name: 'x' }], 'Cannot locate specified Dockerfile: x/y'],
    ['../D', [{ name: 'D', data: 'FROM a' }], 'forbidden path outside the build context: ../D ()'],
    ['a/../../D', [{ name: 'D', data: 'FROM a' }], 'forbidden path outside the build context: a/../../D ()'],
    ['D', [{ name: 'D', type: '2', linkName: 'D' }], 'forbidden path outside the build context: D ()'],
    ['D', [{ name: 'D/', type: '5' }], 'unexpected error reading Dockerfile: read D: is a directory'],
    ['D', [{ name: 'D', type: '6' }], 'unexpected error reading Dockerfile: read D: not a regular file'],
    ['D', [{ name: 'D' }], 'the Dockerfile (D) cannot be empty'],
    ['D', [{ name: 'D', data: '#'.repeat(4_200_000) }], 'the Dockerfile (D) is larger than 4 MiB: '],
  ])('%s is refused', async (path, members, words) => {
    const made = contextsForTest();
    const error: unknown = await made.open(tarOf(members), { dockerfile: path }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(String(error)).toContain(words);
    expect(made.left()).toEqual([]);
  });

  it.each([
    ['[\n', 'error reading .dockerignore: syntax error in pattern'],
    [`${'x'.repeat(70_000)}\n`, 'error reading .dockerignore: bufio.Scanner: token too long'],
    ['!\n', 'error reading .dockerignore: illegal exclusion pattern: "!"'],
  ])('a list that is none is refused', async (data, words) => {
    const made = contextsForTest();
    await expect(made.open(tarOf([DOCKERFILE, { name: '.dockerignore', data }]))).rejects.toThrow(words);
  });
});

describe('a context from a directory', () => {
  it('comes without what is left out, owned by root', async () => {
    const made = contextsForTest();
    const source = tree(made.scratch, {
      Dockerfile: 'FROM scratch',
      '.dockerignore': '# words\n/secret\n*.log\n!keep.log\nnode_modules\n!node_modules/kept/**\n',
      secret: 'x',
      'a.log': 'x',
      'keep.log': 'x',
      'src/main.c': 'int main;',
      'src/b.log': 'x',
      'node_modules/gone/x': 'x',
      'node_modules/kept/y': 'y',
    });
    symlinkSync('/etc/hostname', join(source, 'out'));
    linkSync(join(source, 'src/main.c'), join(source, 'same'));
    chownSync(join(source, 'src/main.c'), 1234, 1234);
    chmodSync(join(source, 'src'), 0o700);
    writeFileSync(join(source, 'holes'), '');
    truncateSync(join(source, 'holes'), 1 << 30);
    await using context = await made.open({ kind: 'directory', path: source, ownerUid: null });
    expect(namesIn(context.root)).toEqual(
      [
        '.dockerignore',
        'Dockerfile',
        'holes',
        'keep.log',
        'node_modules',
        'node_modules/kept',
        'node_modules/kept/y',
        'out',
        'same',
        'src',
        'src/b.log',
        'src/main.c',
      ].sort(),
    );
    const info = statSync(join(context.root, 'src/main.c'));
    expect([info.uid, info.gid, info.nlink]).toEqual([0, 0, 2]);
    expect(lstatSync(join(context.root, 'out')).isSymbolicLink()).toBe(true);
    expect(statSync(join(context.root, 'src')).mode & 0o777).toBe(0o700);
    const holes = statSync(join(context.root, 'holes'));
    expect([holes.size, holes.blocks < 1000]).toEqual([1 << 30, true]);
    expect(existsSync(join(source, 'secret'))).toBe(true);
  });

  it("takes the Dockerfile's own list first", async () => {
    const made = contextsForTest();
    const source = tree(made.scratch, {
      'sub/D': 'FROM scratch',
      'sub/D.dockerignore': 'a\nsub',
      '.dockerignore': 'b',
      a: '',
      b: '',
    });
    await using context = await made.open({ kind: 'directory', path: source, ownerUid: null }, { dockerfile: 'sub/D' });
    expect(namesIn(context.root)).toEqual(['.dockerignore', 'b']);
    expect((await context.dockerfile('sub/D')).text).toBe('FROM scratch');
  });

  it('is refused when it is not there, no directory, or reached by a link', async () => {
    const made = contextsForTest();
    const source = tree(made.scratch, { Dockerfile: 'FROM scratch' });
    symlinkSync(source, join(made.scratch, 'link'));
    const open = async (path: string): Promise<unknown> => made.open({ kind: 'directory', path, ownerUid: null });
    await expect(open(`${source}/none`)).rejects.toThrow(`unable to prepare context: path "${source}/none" not found`);
    await expect(open(`${source}/Dockerfile`)).rejects.toThrow('context must be a directory');
    await expect(open(join(made.scratch, 'link'))).rejects.toThrow('leads through a symbolic link');
    await expect(open('relative')).rejects.toThrow('path "relative" is not absolute');
    expect(made.left()).toEqual([]);
  });

  it('gives nobody what is not theirs', async () => {
    const made = contextsForTest();
    const source = tree(made.scratch, { Dockerfile: 'FROM scratch', theirs: 'x' });
    const open = async (): Promise<unknown> => made.open({ kind: 'directory', path: source, ownerUid: 1234 });
    await expect(open()).rejects.toThrow(`path "${source}" belongs to another user`);
    chownSync(source, 1234, 1234);
    chmodSync(join(source, 'theirs'), 0o640);
    await expect(open()).rejects.toThrow("no permission to read from 'theirs'");
    chownSync(join(source, 'theirs'), 1234, 1234);
    await using context = await made.open({ kind: 'directory', path: source, ownerUid: 1234 });
    expect(namesIn(context.root)).toEqual(['Dockerfile', 'theirs']);
  });

  it('reads no Dockerfile that is not theirs, whose faults would tell what is in it', async () => {
    const made = contextsForTest();
    const files = { Dockerfile: 'password=x', 'closed/Dockerfile': 'password=x', '.dockerignore': '*' };
    const source = tree(made.scratch, files);
    symlinkSync('closed/Dockerfile', join(source, 'link'));
    chownSync(source, 1234, 1234);
    chmodSync(join(source, 'Dockerfile'), 0o600);
    chmodSync(join(source, 'closed'), 0o700);
    for (const dockerfile of ['Dockerfile', 'closed/Dockerfile', 'link']) {
      const opened = made.open({ kind: 'directory', path: source, ownerUid: 1234 }, { dockerfile });
      await expect(opened).rejects.toThrow(`no permission to read from '${dockerfile}'`);
    }
    expect(made.left()).toEqual([]);
  });
});

describe('a context from an address', () => {
  it('is a tar, without what its list leaves out', async () => {
    const made = contextsForTest();
    const bytes = gzipSync(tarOf([DOCKERFILE, { name: '.dockerignore', data: 'b*' }, { name: 'a' }, { name: 'b' }]));
    made.files.set('http://files.test/c.tgz', { bytes, contentType: 'application/x-gzip' });
    await using context = await made.open({ kind: 'remote', address: 'http://files.test/c.tgz' });
    expect(namesIn(context.root)).toEqual(['.dockerignore', 'Dockerfile', 'a']);
    expect(made.messages).toContainEqual({
      kind: 'progress',
      progress: {
        id: 'http://files.test/c.tgz',
        status: 'Downloading context',
        current: bytes.length,
        total: bytes.length,
      },
    });
  });

  it.each(['text/plain; charset=utf-8', '', 'application/octet-stream'])('is a Dockerfile: %s', async (contentType) => {
    const made = contextsForTest();
    made.files.set('http://files.test/D', { bytes: Buffer.from('FROM scratch\n'), contentType });
    await using context = await made.open({ kind: 'remote', address: 'http://files.test/D' }, { dockerfile: 'x' });
    expect(await context.dockerfile('x')).toEqual({ text: 'FROM scratch\n', name: 'Dockerfile' });
    expect(namesIn(context.root)).toEqual([]);
  });

  it.each([
    ['http://files.test/none', 'error downloading remote context http://files.test/none: failed to GET'],
    ['http://files.test/html', 'unsupported Content-Type "text/html"'],
    ['http://files.test/empty', 'empty response'],
    ['http://files.test/broken', 'cut off'],
    ['http://files.test/large', 'is larger than 4 MiB'],
    ['ftp://files.test/x', 'remoteURL (ftp://files.test/x) could not be recognized as URL'],
    ['client-session', 'experimental session with v1 builder is no longer supported'],
  ])('%s is refused', async (address, words) => {
    const made = contextsForTest();
    made.files.set('http://files.test/html', { bytes: Buffer.from('<html>'), contentType: 'text/html' });
    made.files.set('http://files.test/empty', { bytes: Buffer.alloc(0) });
    made.files.set('http://files.test/broken', {
      bytes: tarOf([DOCKERFILE]).subarray(0, 600),
      fault: new Error('cut off'),
    });
    made.files.set('http://files.test/large', { bytes: Buffer.alloc(5_000_000, '#') });
    await expect(made.open({ kind: 'remote', address })).rejects.toThrow(words);
    expect(made.left()).toEqual([]);
  });
});

describe('contexts of a killed engine', () => {
  it('go at the next start', async () => {
    const made = contextsForTest();
    const context = await made.open(tarOf([DOCKERFILE, { name: 'a/b/c' }]));
    expect(existsSync(context.root)).toBe(true);
    await made.contexts.sweep();
    expect(made.left()).toEqual([]);
    await context[Symbol.asyncDispose]();
  });

  it('need not be there', async () => {
    const made = contextsForTest();
    await expect(made.contexts.sweep()).resolves.toBeUndefined();
  });
});

function tree(scratch: string, files: Readonly<Record<string, string>>): string {
  const root = join(scratch, 'source');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function byProgram(program: string, input: Buffer): Buffer {
  return spawnSync(program, ['-c'], { input }).stdout;
}

/** 64 MiB of memory in the place of the contexts. */
function smallDisk(scratch: string): string {
  const place = join(scratch, 'contexts');
  mkdirSync(place);
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'small', place]).status).toBe(0);
  onTestFinished(() => void spawnSync('umount', [place]));
  return place;
}
