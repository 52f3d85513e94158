import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../src/base/errors.ts';
import { createCopies } from '../../src/engine/build/copy/copies.ts';
import type { Copies, CopyRequest, PreparedCopy, SourceTree } from '../../src/engine/build/copy/types.ts';
import { SystemClock } from '../../src/base/clock.ts';
import type { CopyWords } from '../../src/engine/dockerfile/types.ts';
import type { ChainId } from '../../src/engine/oci/digest.ts';
import { DriverTreeBuilder } from '../../src/engine/storage/layers/driver-tree-builder.ts';
import { leftovers, withLayer, type TestStorage } from '../support/layers.ts';
import { MemoryRegistry } from '../support/memory-registry.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nbob:x:1001:1002::/:/bin/sh\n';
const GROUP = 'root:x:0:\nstaff:x:50:\nbob:x:1003:\n';
const BASE: readonly Member[] = [
  { name: 'etc/', type: '5', mode: 0o755, mtime: 7 },
  { name: 'etc/passwd', data: PASSWD, mtime: 8 },
  { name: 'etc/group', data: GROUP, mtime: 8 },
  { name: 'srv/', type: '5', mode: 0o755, mtime: 9 },
  { name: 'srv/old', data: 'old', mtime: 9 },
  { name: 'srv/sub/', type: '5', mode: 0o700, mtime: 9 },
  { name: 'srv/sub/keep', data: 'keep', mtime: 9 },
  { name: 'way', type: '2', linkName: '/srv' },
  { name: 'nowhere', type: '2', linkName: 'made/by/it' },
];

const WORDS: CopyWords = {
  sources: [],
  heredocs: [],
  destination: '/',
  from: null,
  chown: null,
  chmod: null,
  link: false,
  parents: false,
  excludes: [],
  checksum: null,
  keepGitDir: false,
  unpack: null,
};

/** What COPY and ADD make of files, on every driver. */
export function describeCopies(name: string, make: () => Promise<TestStorage>): void {
  // What has nothing to do with where the layer is written: one driver tells.
  const itOnce: (what: string, job: () => Promise<void>) => void = name === 'overlay2' ? it : () => undefined;

  describe(`copies on ${name}`, () => {
    let storage: TestStorage;
    let copies: Copies;
    let registry: MemoryRegistry;
    let base: ChainId;
    let context: string;

    beforeEach(async () => {
      storage = await make();
      const { driver, layers, packer, workers } = storage;
      registry = new MemoryRegistry();
      copies = createCopies({
        builder: new DriverTreeBuilder({ driver, layers, packer, workers }),
        registry,
        directory: join(storage.root, 'added'),
        fetchRepository: async ({ place, keepsRecords }) => {
          if (keepsRecords) {
            mkdirSync(join(place, '.git/refs'), { recursive: true });
            writeFileSync(join(place, '.git/HEAD'), 'ref: refs/one\n');
            writeFileSync(join(place, '.git/refs/one'), `${'ab'.repeat(20)}\n`);
          }
          mkdirSync(join(place, 'part'));
          writeFileSync(join(place, 'part/readme'), 'read me');
          return join(place, 'part');
        },
        deleteTree: async (path) => workers.deleteTree(path),
        clock: new SystemClock(),
      });
      base = (await layers.unpack({ blobPath: storage.blob(tarOf(BASE)), parent: null, diffId: null })).chainId;
      context = join(storage.root, 'context');
      mkdirSync(context);
    });
    afterEach(async () => {
      expect(storage.devices()).toEqual([]);
      const { snapshots, mounts } = await leftovers(storage);
      expect(snapshots.filter((key) => !key.startsWith('sha256:'))).toEqual([]);
      expect(mounts).toEqual([]);
      await storage[Symbol.asyncDispose]();
    });

    function file(path: string, content = path): string {
      const full = join(context, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
      utimesSync(full, 1_000_000, 1_000_000);
      return full;
    }

    async function prepare(
      words: Partial<CopyWords>,
      more: Partial<Omit<CopyRequest, 'words'>> = {},
    ): Promise<PreparedCopy> {
      return copies.prepare({
        verb: 'copy',
        words: { ...WORDS, ...words },
        from: { kind: 'directory', path: context },
        workingDirectory: '/srv',
        sourceDateEpoch: null,
        sink: () => undefined,
        signal: AbortSignal.timeout(20_000),
        ...more,
      });
    }

    /** Copies, and gives the layer's id. */
    async function copy(
      words: Partial<CopyWords>,
      more: Partial<Omit<CopyRequest, 'words'>> = {},
      parent: ChainId | null = base,
    ): Promise<ChainId | null> {
      await using prepared = await prepare(words, more);
      const draftPath = storage.blob(Buffer.alloc(0));
      const layer = await prepared.apply({ parent, draftPath, signal: AbortSignal.timeout(20_000) });
      if (layer !== null) expect(lstatSync(draftPath).size).toBe(layer.blob.sizeBytes);
      return layer?.chainId ?? null;
    }

    async function copied<T>(
      words: Partial<CopyWords>,
      look: (root: string) => T,
      more: Partial<Omit<CopyRequest, 'words'>> = {},
    ): Promise<T> {
      return withLayer(storage, (await copy(words, more)) ?? base, look);
    }

    const text = (path: string) => (root: string) => readFileSync(join(root, path), 'utf8');
    const facts = ({ mode, uid, gid, mtimeMs }: Stats): readonly [string, number, number, number] => [
      (mode & 0o7777).toString(8),
      uid,
      gid,
      mtimeMs / 1000,
    ];

    it('copies a file, owned by root, with its mode and time', async () => {
      chmodSync(file('a'), 0o640);
      chownSync(join(context, 'a'), 7, 8);
      expect(
        await copied({ sources: ['a'], destination: '/new/deep/b' }, (root) =>
          facts(lstatSync(join(root, 'new/deep/b'))),
        ),
      ).toEqual(['640', 0, 0, 1_000_000]);
      expect(await copied({ sources: ['a'], destination: 'sub' }, text('srv/sub/a'))).toBe('a');
      expect(await copied({ sources: ['/a'], destination: './' }, text('srv/a'))).toBe('a');
      expect(await copied({ sources: ['./a'], destination: '.' }, text('srv/a'))).toBe('a');
    });

    it('copies what is in a directory, onto what is there', async () => {
      file('dir/sub/one');
      file('dir/old', 'new');
      symlinkSync('/etc/passwd', join(context, 'dir/link'));
      linkSync(join(context, 'dir/old'), join(context, 'dir/twin'));
      chmodSync(join(context, 'dir/sub'), 0o711);
      const seen = await copied({ sources: ['dir'], destination: '/way' }, (root) => ({
        old: text('srv/old')(root),
        one: text('srv/sub/one')(root),
        keep: text('srv/sub/keep')(root),
        mode: lstatSync(join(root, 'srv/sub')).mode & 0o7777,
        link: readlinkSync(join(root, 'srv/link')),
        twins: lstatSync(join(root, 'srv/twin')).ino === lstatSync(join(root, 'srv/old')).ino,
      }));
      expect(seen).toEqual({
        old: 'new',
        one: 'dir/sub/one',
        keep: 'keep',
        mode: 0o711,
        link: '/etc/passwd',
        twins: true,
      });
    });

    it('makes one layer of several, with what they take away', async () => {
      const { driver, layers, packer, workers } = storage;
      const builder = new DriverTreeBuilder({ driver, layers, packer, workers });
      const written = [
        [
          { name: 'new/', type: '5' },
          { name: 'new/a', data: 'a' },
          { name: 'srv/b', data: 'b' },
        ],
        [{ name: 'new/.wh.a' }, { name: 'srv/.wh.old' }, { name: 'new/c', type: '1', linkName: 'srv/b' }],
        [{ name: 'srv/sub/', type: '5', mode: 0o711, mtime: 77 }, { name: 'srv/sub/.wh..wh..opq' }],
        [{ name: 'new/late', data: 'late', mtime: 2000 }],
      ] as const satisfies readonly (readonly Member[])[];
      const request = {
        parent: base,
        blobPaths: written.map((members) => storage.blob(tarOf(members))),
        blobPath: storage.blob(Buffer.alloc(0)),
        latestTime: 1000,
        signal: AbortSignal.timeout(20_000),
      };
      const merged = await builder.merge(request);
      expect(lstatSync(request.blobPath).size).toBe(merged?.blob.sizeBytes);
      const seen = await withLayer(storage, merged?.chainId ?? base, (root) => ({
        top: readdirSync(join(root, 'new')).toSorted(),
        srv: readdirSync(join(root, 'srv')).toSorted(),
        sub: readdirSync(join(root, 'srv/sub')),
        mode: facts(lstatSync(join(root, 'srv/sub'))),
        late: lstatSync(join(root, 'new/late')).mtimeMs,
        twins: lstatSync(join(root, 'new/c')).ino === lstatSync(join(root, 'srv/b')).ino,
        keeps: text('etc/group')(root),
      }));
      expect(seen).toEqual({
        top: ['c', 'late'],
        srv: ['b', 'sub'],
        sub: [],
        mode: ['711', 0, 0, 77],
        late: 1_000_000,
        twins: true,
        keeps: GROUP,
      });
      const nothing = [tarOf([{ name: 'x', data: 'x' }]), tarOf([{ name: '.wh.x' }])].map((tar) => storage.blob(tar));
      const none = { ...request, blobPaths: nothing, blobPath: storage.blob(Buffer.alloc(0)) };
      expect(await builder.merge(none)).toBeNull();
    });

    it('follows a destination inside', async () => {
      file('a');
      expect(await copied({ sources: ['a'], destination: '/way/x' }, text('srv/x'))).toBe('a');
      expect(await copied({ sources: ['a'], destination: '/nowhere' }, text('made/by/it'))).toBe('a');
      expect(await copied({ sources: ['a'], destination: '../../../../x' }, text('x'))).toBe('a');
    });

    itOnce('unpacks archives for ADD, and copies them for COPY', async () => {
      writeFileSync(join(context, 'a.tar'), tarOf([{ name: 'in/it', data: 'it', uid: 5, gid: 6, mtime: 50 }]));
      writeFileSync(join(context, 'b.tgz'), gzipSync(readFileSync(join(context, 'a.tar'))));
      writeFileSync(join(context, 'c.gz'), gzipSync('no archive'));
      const added = await copied(
        { sources: ['a.tar', 'b.tgz', 'c.gz'], destination: '/x/' },
        (root) => ({ it: facts(lstatSync(join(root, 'x/in/it'))), names: lstatSync(join(root, 'x/c.gz')).isFile() }),
        { verb: 'add' },
      );
      expect(added).toEqual({ it: ['644', 5, 6, 50], names: true });
      expect(
        await copied({ sources: ['a.tar'], destination: '/x/' }, (root) => lstatSync(join(root, 'x/a.tar')).isFile()),
      ).toBe(true);
    });

    it('copies from layers, and keeps owners', async () => {
      const from: SourceTree = { kind: 'layers', top: base };
      const top = await copy({ sources: ['/etc/passwd'], destination: '/p', chown: 'bob:staff' }, { from });
      expect(await withLayer(storage, top ?? base, (root) => facts(lstatSync(join(root, 'p'))))).toEqual([
        '644',
        1001,
        50,
        8,
      ]);
      const again = await copied({ sources: ['/p'], destination: '/q' }, (root) => facts(lstatSync(join(root, 'q'))), {
        from: { kind: 'layers', top },
      });
      expect(again).toEqual(['644', 1001, 50, 8]);
    });

    it('makes directories', async () => {
      const options = { sourceDateEpoch: null, signal: AbortSignal.timeout(20_000) };
      const draftPath = storage.blob(Buffer.alloc(0));
      expect(
        await copies.makeDirectory({ ...options, parent: base, path: '/srv/sub', owner: '', draftPath }),
      ).toBeNull();
      const made = await copies.makeDirectory({ ...options, parent: base, path: '/way/a/b', owner: 'bob', draftPath });
      expect(
        await withLayer(storage, made?.chainId ?? base, (root) => facts(lstatSync(join(root, 'srv/a/b'))).slice(0, 3)),
      ).toEqual(['755', 1001, 1003]);
    });

    itOnce('says in Docker’s words what it cannot copy', async () => {
      file('a');
      file('dir/b');
      symlinkSync('../../../../etc/hostname', join(context, 'out'));
      symlinkSync('round', join(context, 'round'));
      const cases: readonly (readonly [Partial<CopyWords>, string])[] = [
        [
          { sources: ['gone'] },
          'COPY failed: file not found in build context or excluded by .dockerignore: stat gone: file does not exist',
        ],
        [
          { sources: ['/out'] },
          'COPY failed: file not found in build context or excluded by .dockerignore: stat out: file does not exist',
        ],
        [{ sources: ['../a'] }, 'COPY failed: forbidden path outside the build context: ../a ()'],
        [{ sources: ['round'] }, 'COPY failed: forbidden path outside the build context: round ()'],
        [{ sources: ['a/b'] }, 'COPY failed: forbidden path outside the build context: a/b ()'],
        [{ sources: ['z*'] }, 'COPY failed: no source files were specified'],
        [{ sources: ['['] }, 'COPY failed: no source files were specified'],
        [
          { sources: ['a', 'dir'], destination: '/x' },
          'When using COPY with more than one source file, the destination must be a directory and end with a /',
        ],
        [{ sources: ['https://host/a'] }, "COPY failed: source can't be a URL for COPY"],
        [{ sources: ['https://host/a.git'] }, "COPY failed: source can't be a git ref for COPY"],
        [{ sources: ['a'], checksum: `sha256:${'0'.repeat(64)}` }, "checksum can't be specified for COPY"],
        [
          { sources: ['a'], chmod: '999' },
          "invalid chmod parameter: '999'. it should be octal string and between 0 and 07777",
        ],
      ];
      for (const [words, message] of cases)
        await expect(prepare(words), message).rejects.toThrow(new InvalidArgumentError(message));
      const onto: readonly (readonly [Partial<CopyWords>, string])[] = [
        [
          { sources: ['a'], destination: '/etc/passwd/' },
          'failed to copy files: failed to create new directory: mkdir /etc/passwd: not a directory',
        ],
        [
          { sources: ['a'], destination: '/etc/passwd/x' },
          'failed to copy files: lstat /etc/passwd/x: not a directory',
        ],
        [
          { sources: ['dir'], destination: '/etc/passwd' },
          'failed to copy files: failed to copy directory: mkdir /etc/passwd: not a directory',
        ],
        [
          { sources: ['a'], chown: 'nobody' },
          "unable to convert uid/gid chown string to host mapping: can't find uid for user nobody: no such user: nobody",
        ],
        [
          { sources: ['a'], chown: '1:2:3' },
          'unable to convert uid/gid chown string to host mapping: invalid chown string format: 1:2:3',
        ],
        [
          { sources: ['a'], chown: '4294967295' },
          "unable to convert uid/gid chown string to host mapping: can't find uid for user 4294967295: ids are numbers from 0 to 4294967294",
        ],
      ];
      for (const [words, message] of onto)
        await expect(copy(words), message).rejects.toThrow(new InvalidArgumentError(message));
      await expect(prepare({ sources: ['/gone'] }, { from: { kind: 'layers', top: base } })).rejects.toThrow(
        new InvalidArgumentError('COPY failed: stat gone: file does not exist'),
      );
      await expect(prepare({ sources: ['/gone'] }, { from: { kind: 'layers', top: null } })).rejects.toThrow(
        new InvalidArgumentError('COPY failed: stat gone: file does not exist'),
      );
    });

    it('puts a file in a directory’s place, and a directory in a file’s, as dockerd does', async () => {
      file('sub', 'a file now');
      file('dir/old/in');
      expect(await copied({ sources: ['sub'], destination: '/srv/' }, text('srv/sub'))).toBe('a file now');
      expect(await copied({ sources: ['dir'], destination: '/srv' }, text('srv/old/in'))).toBe('dir/old/in');
    });

    itOnce('matches wildcards level by level', async () => {
      for (const name of ['one.txt', 'two.md', 'deep/three.txt', 'deep/er/four.txt']) file(name);
      symlinkSync('deep', join(context, 'linked'));
      const names = async (source: string): Promise<readonly string[]> =>
        copied({ sources: [source], destination: '/x/' }, (root) => readdirSync(join(root, 'x')).sort());
      expect(await names('*.txt')).toEqual(['one.txt']);
      expect(await names('d*p/*.txt')).toEqual(['three.txt']);
      expect(await names('[od]*')).toEqual(['er', 'one.txt', 'three.txt']);
      expect(await names('l*')).toEqual(['er', 'three.txt']);
    });

    itOnce('leaves out what is excluded, and brings parents along', async () => {
      for (const name of ['a/b/c.txt', 'a/b/d.md', 'a/e.txt', 'f.md', 'g/h.txt']) file(name);
      chmodSync(join(context, 'a/b'), 0o711);
      const tree = (root: string): readonly string[] =>
        readdirSync(join(root, 'x'), { recursive: true, encoding: 'utf8' }).sort();
      const into = { destination: '/x/' };
      expect(await copied({ ...into, sources: ['.'], excludes: ['**/*.md', 'g', '!a/b/d.md'] }, tree)).toEqual([
        'a',
        'a/b',
        'a/b/c.txt',
        'a/b/d.md',
        'a/e.txt',
      ]);
      expect(await copied({ ...into, sources: ['*'], excludes: ['*.md'] }, tree)).toEqual([
        'b',
        'b/c.txt',
        'b/d.md',
        'e.txt',
        'h.txt',
      ]);
      expect(await copied({ ...into, sources: ['a/b/c.txt', 'g/*'], parents: true }, tree)).toEqual([
        'a',
        'a/b',
        'a/b/c.txt',
        'g',
        'g/h.txt',
      ]);
      for (const source of ['./a/./b/*.txt', '*/./b/*.txt'])
        expect(await copied({ ...into, sources: [source], parents: true }, tree)).toEqual(['b', 'b/c.txt']);
      expect(
        await copied(
          { ...into, sources: ['a/b/c.txt'], parents: true },
          (root) => lstatSync(join(root, 'x/a/b')).mode & 0o777,
        ),
      ).toBe(0o711);
      await expect(prepare({ ...into, sources: ['a/none'], parents: true })).rejects.toThrow(
        'stat a/none: file does not exist',
      );
    });

    it('changes modes and owners of all it brings', async () => {
      chmodSync(file('dir/prog'), 0o755);
      chmodSync(file('dir/sub/data'), 0o600);
      symlinkSync('prog', join(context, 'dir/link'));
      const modes = (root: string): readonly string[] =>
        ['x', 'x/prog', 'x/sub', 'x/sub/data', 'x/link'].map((path) =>
          facts(lstatSync(join(root, path)))
            .slice(0, 3)
            .join(' '),
        );
      expect(await copied({ sources: ['dir'], destination: '/x', chmod: '0640', chown: '5:staff' }, modes)).toEqual([
        '640 5 50',
        '640 5 50',
        '640 5 50',
        '640 5 50',
        '777 5 50',
      ]);
      expect(await copied({ sources: ['dir'], destination: '/x', chmod: 'u=rwX,go=u-w' }, modes)).toEqual([
        '755 0 0',
        '755 0 0',
        '755 0 0',
        '644 0 0',
        '777 0 0',
      ]);
    });

    itOnce('writes texts', async () => {
      const heredocs = [
        { name: 'one', content: 'first\n', expands: true },
        { name: 'two', content: 'second\n', expands: false },
      ];
      const seen = await copied({ heredocs, destination: '/etc/x/', chmod: '600' }, (root) => [
        text('etc/x/one')(root),
        text('etc/x/two')(root),
        facts(lstatSync(join(root, 'etc/x/one'))).slice(0, 3),
      ]);
      expect(seen).toEqual(['first\n', 'second\n', ['600', 0, 0]]);
      expect(await copied({ heredocs: heredocs.slice(1), destination: '/etc/passwd' }, text('etc/passwd'))).toBe(
        'second\n',
      );
    });

    it('links: the layer is the same on any parent', async () => {
      file('dir/a');
      const words = { sources: ['dir'], destination: '/way/new', link: true, chown: 'bob' };
      await using prepared = await prepare(words, { sourceDateEpoch: 5 });
      const other = (
        await storage.layers.unpack({
          blobPath: storage.blob(tarOf([...BASE].slice(0, 3))),
          parent: null,
          diffId: null,
        })
      ).chainId;
      const signal = AbortSignal.timeout(20_000);
      const layers = [];
      for (const parent of [base, other])
        layers.push(await prepared.apply({ parent, draftPath: storage.blob(Buffer.alloc(0)), signal }));
      const [one, two] = layers;
      expect(one?.diffId).toBe(two?.diffId);
      expect(one?.chainId).not.toBe(two?.chainId);
      const owner = await withLayer(storage, one?.chainId ?? base, (root) =>
        facts(lstatSync(join(root, 'way/new/a'))).slice(1, 3),
      );
      expect(owner).toEqual([1001, 1003]);
    });

    it('gives nothing a time later than the source date', async () => {
      file('dir/old');
      writeFileSync(join(context, 'dir/new'), 'new');
      writeFileSync(join(context, 'a.tar'), tarOf([{ name: 'deep/er/new', data: 'it', mtime: 2_000_000 }]));
      const sourceDateEpoch = 1_500_000;
      const times = (root: string): readonly number[] =>
        ['n', 'n/m', 'n/m/old', 'n/m/new', 'srv'].map((path) => lstatSync(join(root, path)).mtimeMs / 1000);
      const words = { sources: ['dir'], destination: '/n/m', link: true };
      const first = await copy(words, { sourceDateEpoch });
      expect(await copy(words, { sourceDateEpoch })).toBe(first);
      expect(await withLayer(storage, first ?? base, times)).toEqual([1_500_000, 1_500_000, 1_000_000, 1_500_000, 9]);
      const added = await copied(
        { sources: ['a.tar'], destination: '/u' },
        (root) =>
          ['u', 'u/deep', 'u/deep/er', 'u/deep/er/new'].map((path) => lstatSync(join(root, path)).mtimeMs / 1000),
        { verb: 'add', sourceDateEpoch },
      );
      expect(added).toEqual([1_500_000, 1_500_000, 1_500_000, 1_500_000]);
    });

    it('keeps holes, attributes and links among files', async () => {
      const full = file('dir/holes', '');
      truncateSync(full, 50_000_000);
      file('dir/z');
      storage.files.setXattr(join(context, 'dir/z'), 'user.color', Buffer.from('red'));
      linkSync(join(context, 'dir/z'), join(context, 'dir/y'));
      const seen = await copied({ sources: ['dir'], destination: '/x' }, (root) => ({
        blocks: lstatSync(join(root, 'x/holes')).blocks < 200,
        size: lstatSync(join(root, 'x/holes')).size,
        color: storage.files.getXattr(join(root, 'x/z'), 'user.color')?.toString(),
        links: lstatSync(join(root, 'x/y')).ino === lstatSync(join(root, 'x/z')).ino,
      }));
      expect(seen).toEqual({ blocks: true, size: 50_000_000, color: 'red', links: true });
    });

    itOnce('unpacks what only programs of the host can, and copies what is no archive', async () => {
      const archive = tarOf([{ name: 'it', data: 'it' }]);
      for (const [name, program] of [
        ['a.txz', 'xz'],
        ['a.tbz', 'bzip2'],
      ] as const)
        writeFileSync(join(context, name), execFileSync(program, ['-c'], { input: archive }));
      writeFileSync(join(context, 'b.xz'), execFileSync('xz', ['-c'], { input: 'no archive' }));
      const tree = (root: string): readonly string[] => readdirSync(join(root, 'x')).sort();
      expect(await copied({ sources: ['a.txz', 'b.xz'], destination: '/x/' }, tree, { verb: 'add' })).toEqual([
        'b.xz',
        'it',
      ]);
      expect(await copied({ sources: ['a.tbz'], destination: '/x/' }, tree, { verb: 'add' })).toEqual(['it']);
      expect(await copied({ sources: ['a.tbz'], destination: '/x/', unpack: false }, tree, { verb: 'add' })).toEqual([
        'a.tbz',
      ]);
      expect(readdirSync(join(storage.root, 'added'))).toEqual([]);
    });

    itOnce('adds what lies at addresses', async () => {
      const archive = tarOf([{ name: 'it', data: 'it' }]);
      registry.files.set('https://host/some/a.tar?x=1', archive);
      registry.files.set('https://host/', Buffer.from('nameless'));
      const add = { verb: 'add' } as const;
      const from = (address: string, words: Partial<CopyWords> = {}): Partial<CopyWords> => ({
        sources: [address],
        destination: '/x/',
        ...words,
      });
      const address = 'https://host/some/a.tar?x=1';
      expect(await copied(from(address), (root) => facts(lstatSync(join(root, 'x/a.tar'))), add)).toEqual([
        '600',
        0,
        0,
        0,
      ]);
      expect(await copied(from(address, { unpack: true }), text('x/it'), add)).toBe('it');
      expect(await copied(from('https://host/', { destination: '/x' }), text('x'), add)).toBe('nameless');
      const good = createHash('sha256').update(archive).digest('hex');
      expect(
        await copied(
          from(address, { checksum: `sha256:${good}`, chmod: '755' }),
          (root) => lstatSync(join(root, 'x/a.tar')).mode & 0o777,
          add,
        ),
      ).toBe(0o755);
      await expect(prepare(from(address, { checksum: `sha256:${'0'.repeat(64)}` }), add)).rejects.toThrow(
        `ADD failed: digest mismatch sha256:${good}: sha256:${'0'.repeat(64)}`,
      );
      await expect(prepare(from('https://host/'), add)).rejects.toThrow(
        'ADD failed: cannot determine filename for source https://host/',
      );
      await expect(prepare(from('https://host/gone'), add)).rejects.toThrow(
        'ADD failed: failed to GET https://host/gone with status 404 Not Found',
      );
      expect(readdirSync(join(storage.root, 'added'))).toEqual([]);
    });

    itOnce('adds repositories', async () => {
      const add = { verb: 'add' } as const;
      const words = { sources: ['https://host/x.git#main:part'], destination: '/x' };
      expect(await copied(words, (root) => readdirSync(join(root, 'x')), add)).toEqual(['readme']);
      expect(await copied({ ...words, checksum: 'ab'.repeat(20) }, text('x/readme'), add)).toBe('read me');
      await expect(prepare({ ...words, checksum: 'cd'.repeat(20) }, add)).rejects.toThrow(
        `ADD failed: expected checksum to match ${'cd'.repeat(20)}, got ${'ab'.repeat(20)}`,
      );
      expect(readdirSync(join(storage.root, 'added'))).toEqual([]);
    });

    itOnce('calls the same the same, whatever its times, and another another', async () => {
      file('dir/a');
      const digest = async (words: Partial<CopyWords> = {}): Promise<string> => {
        await using prepared = await prepare({ sources: ['dir'], destination: '/x/', ...words });
        return prepared.digest;
      };
      const first = await digest();
      utimesSync(join(context, 'dir/a'), 5, 5);
      expect(await digest()).toBe(first);
      const seen = new Set([first]);
      const isNew = async (words?: Partial<CopyWords>): Promise<void> => {
        const one = await digest(words);
        expect(seen).not.toContain(one);
        seen.add(one);
      };
      await isNew({ chown: 'bob' });
      await isNew({ chmod: '600' });
      await isNew({ destination: '/y/' });
      await isNew({ link: true });
      await isNew({ sources: ['dir/a'] });
      chmodSync(join(context, 'dir/a'), 0o600);
      await isNew();
      writeFileSync(join(context, 'dir/a'), 'dir/b');
      await isNew();
      renameSync(join(context, 'dir/a'), join(context, 'dir/b'));
      await isNew();
      storage.files.setXattr(join(context, 'dir/b'), 'user.x', Buffer.from('1'));
      await isNew();
      await using one = await prepare({ sources: ['dir/b'] });
      expect(one.label).toMatch(/^file:[0-9a-f]{64}$/);
      await using many = await prepare({ sources: ['dir', 'dir/b'] });
      expect(many.label).toMatch(/^multi:[0-9a-f]{64}$/);
    });

    it('leaves nothing when it is told to stop', async () => {
      for (let index = 0; index < 50; index += 1) file(`dir/${String(index)}`);
      await using prepared = await prepare({ sources: ['dir'] });
      const reason = new Error('enough');
      const stop = new AbortController();
      const applied = prepared.apply({ parent: base, draftPath: storage.blob(Buffer.alloc(0)), signal: stop.signal });
      stop.abort(reason);
      await expect(applied).rejects.toBe(reason);
      await expect(prepare({ sources: ['dir'] }, { signal: stop.signal })).rejects.toBe(reason);
    });
  });
}
