import { closeSync, existsSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, DataLossError, NotFoundError, UnavailableError } from '../../src/base/errors.ts';
import { chainIdsOf, digestOf, type ChainId } from '../../src/engine/oci/digest.ts';
import { release } from '../../src/engine/storage/driver.ts';
import { leftovers, withLayer, type TestStorage } from '../support/layers.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const NOTHING = { snapshots: [], mounts: [] };
const NOTE = { 'SCHILY.xattr.user.note': 'hi' };
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

/** What the layer store makes of blobs, on every driver. */
export function describeLayerStore(name: string, make: () => Promise<TestStorage>): void {
  describe(`layer store on ${name}`, () => {
    let storage: TestStorage;

    beforeEach(async () => {
      storage = await make();
    });
    afterEach(async () => {
      expect(storage.devices()).toEqual([]);
      await storage[Symbol.asyncDispose]();
    });

    /** Somebody else's snapshot, not mounted. */
    async function prepare(key: string, parent: string | null): Promise<void> {
      await storage.driver.prepare(key, parent);
      await release(storage.driver, key);
    }

    /** Unpacks archives on one another; the chain ids. */
    async function stack(...archives: readonly (readonly Member[])[]): Promise<readonly ChainId[]> {
      const chain: ChainId[] = [];
      for (const members of archives) {
        const blobPath = storage.blob(tarOf(members));
        chain.push((await storage.layers.unpack({ blobPath, parent: chain.at(-1) ?? null, diffId: null })).chainId);
      }
      return chain;
    }

    async function top<T>(chain: readonly ChainId[], job: (root: string) => T): Promise<T> {
      return withLayer(storage, chain.at(-1)!, job);
    }

    it('keeps everything that a file has', async () => {
      const chain = await stack(
        [
          { name: './', type: '5', mode: 0o755 },
          { name: 'bin/', type: '5', mode: 0o2750, uid: 3, gid: 4, mtime: 5 },
          { name: 'bin/su', data: 'su', mode: 0o4755, uid: 0, gid: 9, pax: { mtime: '12.000000345' } },
          {
            name: 'bin/ping',
            data: 'ping',
            pax: { 'SCHILY.xattr.security.capability': CAPABILITY, 'SCHILY.xattr.user.note': 'hi' },
          },
          { name: 'bin/hard', type: '1', linkName: 'bin/su' },
          { name: 'bin/soft', type: '2', linkName: '/../../etc', uid: 6, mtime: 7 },
          { name: 'dev/null', type: '3', mode: 0o666, major: 1, minor: 3 },
          { name: 'dev/sda', type: '4', mode: 0o660, major: 8, minor: 300, gid: 6 },
          { name: 'run/pipe', type: '6', mode: 0o600 },
          { name: 'empty' },
        ],
        [{ name: 'upper' }],
      );
      await top(chain, (root) => {
        const at = (path: string) => lstatSync(join(root, path), { bigint: true });
        expect(at('bin')).toMatchObject({ mode: 0o42750n, uid: 3n, gid: 4n, mtimeNs: 5_000_000_000n });
        expect(at('bin/su')).toMatchObject({ mode: 0o104755n, uid: 0n, gid: 9n, mtimeNs: 12_000_000_345n, nlink: 2n });
        expect(at('bin/hard').ino).toBe(at('bin/su').ino);
        expect(at('bin/soft')).toMatchObject({ uid: 6n, mtimeNs: 7_000_000_000n });
        expect(readlinkSync(join(root, 'bin/soft'))).toBe('/../../etc');
        expect(at('dev/null')).toMatchObject({ mode: 0o20666n, rdev: 0x103n });
        expect(at('dev/sda')).toMatchObject({ mode: 0o60660n, gid: 6n, rdev: 0x10082cn });
        expect(at('run/pipe').mode).toBe(0o10600n);
        expect(at('run').mode).toBe(0o40755n);
        expect(at('empty').size).toBe(0n);
        expect(readFileSync(join(root, 'bin/ping'), 'utf8')).toBe('ping');
        expect(storage.files.getXattr(join(root, 'bin/ping'), 'security.capability')).toEqual(CAPABILITY);
        expect(storage.files.getXattr(join(root, 'bin/ping'), 'user.note')?.toString()).toBe('hi');
      });
    });

    it.each([
      ['nothing', (tar: Buffer) => tar],
      ['gzip', (tar: Buffer) => gzipSync(tar)],
      [
        'gzip in several members, with rubbish behind',
        (tar: Buffer) => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700)), Buffer.alloc(99)]),
      ],
      ['zstd', (tar: Buffer) => zstdCompressSync(tar)],
      [
        'zstd in several frames',
        (tar: Buffer) => Buffer.concat([zstdCompressSync(tar.subarray(0, 700)), zstdCompressSync(tar.subarray(700))]),
      ],
      [
        'zstd behind a skippable frame',
        (tar: Buffer) => Buffer.concat([Buffer.from('502a4d1804000000abcdabcd', 'hex'), zstdCompressSync(tar)]),
      ],
    ])('undoes compression by %s', async (_how, compress) => {
      const tar = tarOf([{ name: 'file', data: 'x'.repeat(1000) }]);
      const diffId = digestOf(tar);
      const progress: number[] = [];
      const blob = compress(tar);
      const layer = await storage.layers.unpack({
        blobPath: storage.blob(blob),
        parent: null,
        diffId,
        onProgress: (read) => progress.push(read),
      });
      expect(layer).toEqual({ chainId: diffId, diffId, sizeBytes: 1000 });
      expect(await storage.layers.stat(layer.chainId)).toEqual(layer);
      expect(progress.at(-1)).toBe(blob.length);
      await withLayer(storage, layer.chainId, (root) =>
        expect(readFileSync(join(root, 'file'), 'utf8')).toBe('x'.repeat(1000)),
      );
    });

    it('deletes by whiteouts', async () => {
      const chain = await stack(
        [
          { name: 'a/one', data: '1' },
          { name: 'a/two', data: '2' },
          { name: 'b/old', data: 'x' },
          { name: 'c/deep/er', data: 'x' },
          { name: 'd' },
        ],
        [
          { name: 'a/.wh.one' },
          { name: 'b/.wh..wh..opq' },
          { name: 'b/new', data: 'n' },
          { name: '.wh.c' },
          { name: '.wh.never' },
          { name: '.wh..wh.plnk/1.2', data: 'aufs' },
        ],
      );
      await top(chain, (root) => {
        expect(readdirSync(root).sort()).toEqual(['a', 'b', 'd']);
        expect(readdirSync(join(root, 'a'))).toEqual(['two']);
        expect(readdirSync(join(root, 'b'))).toEqual(['new']);
      });
    });

    it('lets whiteouts hide parents only, whatever the order', async () => {
      const chain = await stack(
        [{ name: 'a/old' }, { name: 'b/old' }, { name: 'c', data: 'old' }, { name: 'e/old/x' }],
        [
          { name: 'a/new' },
          { name: 'a/.wh..wh..opq' },
          { name: '.wh.b' },
          { name: 'b/new' },
          { name: 'c', data: 'new' },
          { name: '.wh.c' },
          { name: 'e/', type: '5' },
          { name: 'e/new/y' },
          { name: '.wh.e' },
        ],
      );
      await top(chain, (root) => {
        expect(readdirSync(join(root, 'a'))).toEqual(['new']);
        expect(readdirSync(join(root, 'b'))).toEqual(['new']);
        expect(readFileSync(join(root, 'c'), 'utf8')).toBe('new');
        expect(readdirSync(join(root, 'e'))).toEqual(['new']);
      });
    });

    it('replaces what has another type, and the later member wins', async () => {
      const chain = await stack(
        [{ name: 'file', data: 'f' }, { name: 'dir/x' }, { name: 'link', type: '2', linkName: 'dir' }],
        [
          { name: 'file/', type: '5' },
          { name: 'file/in' },
          { name: 'dir', data: 'now a file' },
          { name: 'link', data: 'own' },
          { name: 'twice', data: 'first' },
          { name: 'twice', data: '2nd' },
          { name: 'self', data: 's' },
          { name: 'self', type: '1', linkName: './self' },
        ],
      );
      await top(chain, (root) => {
        expect(readdirSync(join(root, 'file'))).toEqual(['in']);
        expect(readFileSync(join(root, 'dir'), 'utf8')).toBe('now a file');
        expect(readFileSync(join(root, 'link'), 'utf8')).toBe('own');
        expect(readFileSync(join(root, 'twice'), 'utf8')).toBe('2nd');
        expect(readFileSync(join(root, 'self'), 'utf8')).toBe('s');
      });
      expect((await storage.layers.stat(chain[1]!))?.sizeBytes).toBe(
        'now a file'.length + 'own'.length + '2nd'.length + 's'.length,
      );
    });

    it('links to files of parent layers', async () => {
      const chain = await stack(
        [{ name: 'lib/tool', data: 'tool', uid: 5 }, { name: 'lib/gone' }],
        [{ name: 'new', data: 'n' }, { name: 'bin/tool', type: '1', linkName: 'lib/tool' }, { name: 'lib/.wh.gone' }],
      );
      await top(chain, (root) => {
        expect(readFileSync(join(root, 'bin/tool'), 'utf8')).toBe('tool');
        expect(lstatSync(join(root, 'bin/tool')).uid).toBe(5);
        expect(lstatSync(join(root, 'lib/tool')).ino).toBe(lstatSync(join(root, 'bin/tool')).ino);
        expect(readdirSync(join(root, 'lib'))).toEqual(['tool']);
      });
      expect(await leftovers(storage)).toEqual({ snapshots: [...chain].sort(), mounts: [] });
    });

    it('writes sparse files with their holes', async () => {
      const pax = { 'GNU.sparse.size': '10000000', 'GNU.sparse.map': '9000000,3', 'GNU.sparse.name': 'holes' };
      // The second layer makes vfs copy the file.
      const chain = await stack([{ name: 'x', pax, data: 'abc' }], [{ name: 'other' }]);
      await top(chain, (root) => {
        const info = lstatSync(join(root, 'holes'));
        expect(info.size).toBe(10_000_000);
        expect(info.blocks).toBeLessThan(100);
        expect(readFileSync(join(root, 'holes')).subarray(9_000_000, 9_000_004).toString()).toBe('abc\0');
      });
    });

    it('keeps names that are not UTF-8, with everything', async () => {
      const chain = await stack(
        [
          { name: 'caf\u00e9', encoding: 'latin1', data: 'x', mtime: 77, pax: NOTE },
          { name: 'dir\u00ff/', type: '5', encoding: 'latin1', mtime: 78, pax: NOTE },
          { name: 'dev\u00fe', type: '3', encoding: 'latin1', major: 1, minor: 3 },
        ],
        [{ name: 'upper' }],
      );
      await top(chain, (root) => {
        const names = readdirSync(root, { encoding: 'latin1' }).sort();
        expect(names).toEqual(['caf\u00e9', 'dev\u00fe', 'dir\u00ff', 'upper']);
        expect(lstatSync(Buffer.from(`${root}/caf\u00e9`, 'latin1')).mtimeMs).toBe(77_000);
        const directory = openSync(Buffer.from(`${root}/dir\u00ff`, 'latin1'), 'r');
        expect(storage.files.listXattrs(`/proc/self/fd/${String(directory)}/.`)).toEqual(['user.note']);
        closeSync(directory);
      });
    });

    it('unpacks a layer once however many ask', async () => {
      const tar = tarOf([{ name: 'file', data: 'x' }]);
      const diffId = digestOf(tar);
      const blobPath = storage.blob(gzipSync(tar));
      const asked = Array.from({ length: 5 }, async () => storage.layers.unpack({ blobPath, parent: null, diffId }));
      expect(new Set((await Promise.all(asked)).map(({ chainId }) => chainId)).size).toBe(1);
      await Promise.all(
        [null, null].map(async (none) => storage.layers.unpack({ blobPath, parent: none, diffId: none })),
      );
      expect((await leftovers(storage)).snapshots).toEqual([diffId]);
    });

    it('takes children before their parents', async () => {
      const tars = [0, 1, 2, 3].map((index) => tarOf([{ name: `file-${String(index)}`, data: 'x'.repeat(index + 1) }]));
      const diffIds = tars.map((tar) => digestOf(tar));
      const chain = chainIdsOf(diffIds);
      using _ = storage.layers.announce(chain);
      const order: string[] = [];
      const unpack = async (index: number): Promise<void> => {
        await storage.layers.unpack({
          blobPath: storage.blob(tars[index]!),
          parent: chain[index - 1] ?? null,
          diffId: diffIds[index]!,
        });
        order.push(String(index));
        for (const below of chain.slice(0, index)) expect(await storage.layers.stat(below)).not.toBeNull();
      };
      await Promise.all([3, 2, 1, 0].map(unpack));
      expect(order).toEqual(['0', '1', '2', '3']);
      await top(chain, (root) => expect(readdirSync(root)).toHaveLength(4));
    });

    it('takes a child while its parent is being unpacked', async () => {
      const big = tarOf([{ name: 'base', data: Buffer.alloc(5_000_000) }]);
      const small = tarOf([{ name: 'top' }]);
      const parent = storage.layers.unpack({ blobPath: storage.blob(big), parent: null, diffId: digestOf(big) });
      const chain = chainIdsOf([big, small].map((tar) => digestOf(tar)));
      const child = storage.layers.unpack({
        blobPath: storage.blob(small),
        parent: chain[0]!,
        diffId: digestOf(small),
      });
      expect([(await child).chainId, (await parent).chainId]).toEqual([chain[1], chain[0]]);
    });

    it('gives up on a child whose parent never comes', async () => {
      const tar = tarOf([{ name: 'x' }]);
      const parent = digestOf('never') as string as ChainId;
      const request = { blobPath: storage.blob(tar), parent, diffId: digestOf(tar) };
      await expect(storage.layers.unpack(request)).rejects.toThrow(NotFoundError);
      const announced = storage.layers.announce([parent]);
      const child = expect(storage.layers.unpack(request)).rejects.toThrow(NotFoundError);
      const aborted = AbortSignal.abort(new Error('changed my mind'));
      await expect(storage.layers.unpack({ ...request, signal: aborted })).rejects.toThrow('changed my mind');
      announced[Symbol.dispose]();
      await child;
      expect(await leftovers(storage)).toEqual(NOTHING);
    });

    it('refuses a tar that is not its diff id', async () => {
      const diffId = digestOf('other');
      const blobPath = storage.blob(tarOf([{ name: 'x' }]));
      await expect(storage.layers.unpack({ blobPath, parent: null, diffId })).rejects.toThrow(DataLossError);
      expect(await leftovers(storage)).toEqual(NOTHING);
    });

    it('stops when it is told to and leaves nothing', async () => {
      const controller = new AbortController();
      const tar = tarOf(
        Array.from({ length: 50 }, (_, index) => ({ name: `file-${String(index)}`, data: Buffer.alloc(500_000) })),
      );
      const request = { blobPath: storage.blob(tar), parent: null, diffId: digestOf(tar) };
      const job = storage.layers.unpack({
        ...request,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('pull cancelled')),
      });
      await expect(job).rejects.toThrow('pull cancelled');
      expect(await leftovers(storage)).toEqual(NOTHING);
      expect((await storage.layers.unpack(request)).sizeBytes).toBe(25_000_000);
    });

    it('lets one of two who wait go without disturbing the other', async () => {
      const controller = new AbortController();
      const tar = tarOf([{ name: 'file', data: Buffer.alloc(3_000_000) }]);
      const request = { blobPath: storage.blob(tar), parent: null, diffId: digestOf(tar) };
      const first = storage.layers.unpack(request);
      const second = storage.layers.unpack({ ...request, signal: controller.signal });
      controller.abort(new Error('not me'));
      await expect(second).rejects.toThrow('not me');
      expect((await first).chainId).toBe(request.diffId);
    });

    it('removes layers from the top, not under a container', async () => {
      const chain = await stack([{ name: 'a' }], [{ name: 'b' }]);
      await expect(storage.layers.remove(chain[0]!)).rejects.toThrow(ConflictError);
      await prepare('container', chain[1]!);
      await expect(storage.layers.remove(chain[1]!)).rejects.toThrow(ConflictError);
      expect(await storage.layers.stat(chain[1]!)).not.toBeNull();
      await storage.driver.remove('container');
      for (const chainId of [...chain].reverse()) await storage.layers.remove(chainId);
      await storage.layers.remove(chain[0]!);
      expect(await leftovers(storage)).toEqual(NOTHING);
    });

    it('knows a layer no more that has gone and could not be deleted, and keeps one that could not go', async () => {
      const [chainId] = await stack([{ name: 'a' }]);
      const { driver } = storage;
      const remove = driver.remove.bind(driver);
      const full = new UnavailableError('no space left on device');
      driver.remove = async () => Promise.reject(full);
      await expect(storage.layers.remove(chainId!)).rejects.toThrow('no space left on device');
      expect(await storage.layers.stat(chainId!)).not.toBeNull();
      driver.remove = async (key) => {
        await remove(key);
        throw full;
      };
      await expect(storage.layers.remove(chainId!)).rejects.toThrow('no space left on device');
      expect(await storage.layers.stat(chainId!)).toBeNull();
      driver.remove = remove;
      expect(await leftovers(storage)).toEqual(NOTHING);
    });

    it('sweeps what a killed daemon left and keeps the rest', async () => {
      const chain = await stack([{ name: 'a' }]);
      await prepare('extract-dead', null);
      await prepare('extract-orphan', chain[0]!);
      await storage.driver.commit('extract-orphan', 'sha256:orphan');
      await prepare('container', chain[0]!);
      await storage.layers.sweep();
      expect((await leftovers(storage)).snapshots).toEqual(['container', chain[0]!].sort());
    });

    it('unpacks over an orphan of the same name', async () => {
      const tar = tarOf([{ name: 'file', data: 'right' }]);
      const diffId = digestOf(tar);
      await prepare('extract-orphan', null);
      await storage.driver.commit('extract-orphan', diffId);
      await storage.layers.unpack({ blobPath: storage.blob(tar), parent: null, diffId });
      await withLayer(storage, diffId, (root) => expect(existsSync(join(root, 'file'))).toBe(true));
    });
  });
}
