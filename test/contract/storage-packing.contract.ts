import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, NotFoundError } from '../../src/base/errors.ts';
import { digestOf, type ChainId } from '../../src/engine/oci/digest.ts';
import type { CapturedLayer } from '../../src/engine/storage/packing.ts';
import { release } from '../../src/engine/storage/driver.ts';
import { leftovers, withLayer, type TestStorage } from '../support/layers.ts';
import { Dice, portrait, shake } from '../support/random-tree.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

/** Trees changed at random, on each driver; more by MOORED_PACKING_SEEDS. */
const SEEDS = Number(process.env['MOORED_PACKING_SEEDS'] ?? 2);
const SCAFFOLD = ['/.dockerenv', '/dev', '/etc/hostname', '/etc/hosts', '/proc'];
const BASE: readonly Member[] = [
  { name: 'bin/', type: '5', mode: 0o755, mtime: 5 },
  { name: 'bin/sh', data: 'sh', mode: 0o755, mtime: 6 },
  { name: 'bin/ls', type: '1', linkName: 'bin/sh' },
  { name: 'etc/', type: '5', mode: 0o755, mtime: 7 },
  { name: 'etc/passwd', data: 'root', mtime: 8 },
  { name: 'srv/', type: '5', mode: 0o755, mtime: 9 },
  { name: 'srv/deep/', type: '5', mode: 0o700, mtime: 9 },
  { name: 'srv/deep/er/', type: '5', mode: 0o755, mtime: 9 },
  { name: 'srv/deep/er/file', data: 'x', mtime: 9 },
  { name: 'tmp/', type: '5', mode: 0o1777, mtime: 10 },
];

/** What the packer makes of trees, on every driver. */
export function describeLayerPacker(name: string, make: () => Promise<TestStorage>): void {
  describe(`layer packer on ${name}`, () => {
    let storage: TestStorage;
    let base: ChainId;

    beforeEach(async () => {
      storage = await make();
      base = (await storage.layers.unpack({ blobPath: storage.blob(tarOf(BASE)), parent: null, diffId: null })).chainId;
    });
    afterEach(async () => {
      expect(storage.devices()).toEqual([]);
      await storage[Symbol.asyncDispose]();
    });

    /** Mounts an active snapshot for `job`. */
    async function inside<T>(key: string, job: (root: string) => T, on = storage): Promise<T> {
      const target = mkdtempSync(join(on.root, 'mount-'));
      const mounts = await on.driver.mounts(key);
      for (const mount of mounts) on.kernel.mounts.mount(mount, target);
      try {
        return job(target);
      } finally {
        for (const _ of mounts) on.kernel.mounts.unmount(target);
        await release(on.driver, key);
        rmSync(target, { recursive: true });
      }
    }

    async function prepare(key: string, parent: ChainId | null): Promise<void> {
      await storage.driver.prepare(key, parent);
      await release(storage.driver, key);
    }

    async function container(parent: ChainId | null, job: (root: string) => void): Promise<void> {
      await prepare('container', parent);
      await inside('container', job);
    }

    async function capture(
      parent: ChainId | null = base,
      snapshot = 'container',
    ): Promise<CapturedLayer & { readonly blobPath: string }> {
      const blobPath = storage.blob(Buffer.alloc(0));
      const layer = await storage.packer.capture({ snapshot, parent, blobPath, scaffold: SCAFFOLD });
      if (layer === null) throw new Error('nothing has changed');
      return { ...layer, blobPath };
    }

    const changesOf = async (): Promise<readonly string[]> =>
      (await storage.packer.changes('container', { scaffold: SCAFFOLD })).map(
        ({ path, kind }) => `${{ added: 'A', modified: 'C', deleted: 'D' }[kind]} ${path}`,
      );

    it.each(Array.from({ length: SEEDS }, (_, index) => 77_003 * (index + 1)))(
      'gives back a tree that was changed at random (seed %i)',
      async (seed) => {
        const dice = new Dice(seed);
        await container(base, (root) => shake(root, storage.files, dice, 60));
        const first = await capture();
        await prepare('second', first.chainId);
        await inside('second', (root) => shake(root, storage.files, dice, 60));
        const wanted = await inside('second', (root) => portrait(root, storage.files));
        const second = await capture(first.chainId, 'second');
        expect(await withLayer(storage, second.chainId, (root) => portrait(root, storage.files))).toEqual(wanted);

        await using fresh = await make();
        let parent: ChainId | null = null;
        for (const { blobPath, diffId } of [
          { blobPath: storage.blob(tarOf(BASE)), diffId: digestOf(tarOf(BASE)) },
          first,
          second,
        ]) {
          parent = (await fresh.layers.unpack({ blobPath, parent, diffId })).chainId;
        }
        expect(parent).toBe(second.chainId);
        expect(await withLayer(fresh, second.chainId, (root) => portrait(root, fresh.files))).toEqual(wanted);
        for (const { chainId } of [first, second])
          expect(await fresh.layers.stat(chainId)).toEqual(await storage.layers.stat(chainId));
      },
    );

    it('is the same for the same tree', async () => {
      await container(base, (root) => shake(root, storage.files, new Dice(5), 80));
      const [one, two] = [await capture(), await capture()];
      expect(two).toEqual({ ...one, blobPath: two.blobPath });
      expect(readFileSync(two.blobPath).equals(readFileSync(one.blobPath))).toBe(true);
      expect(digestOf(readFileSync(one.blobPath))).toBe(one.blob.digest);
      expect(lstatSync(one.blobPath).size).toBe(one.blob.sizeBytes);
      expect(digestOf(gunzipSync(readFileSync(one.blobPath)))).toBe(one.diffId);
      expect((await leftovers(storage)).snapshots).toEqual([base, one.chainId, 'container'].sort());
    });

    it('lists what has changed, parents before children', async () => {
      await container(base, (root) => {
        writeFileSync(join(root, 'etc/new'), 'n');
        writeFileSync(join(root, 'etc/passwd'), 'changed');
        rmSync(join(root, 'srv/deep'), { recursive: true });
        mkdirSync(join(root, 'opt/two'), { recursive: true });
        rmSync(join(root, 'bin'), { recursive: true });
        mkdirSync(join(root, 'bin'));
        writeFileSync(join(root, 'bin/sh'), 'mine');
      });
      expect(await changesOf()).toEqual([
        'C /bin',
        'D /bin/ls',
        'C /bin/sh',
        'C /etc',
        'A /etc/new',
        'C /etc/passwd',
        'A /opt',
        'A /opt/two',
        'C /srv',
        'D /srv/deep',
      ]);
    });

    it('passes over what only the engine has put there', async () => {
      await container(base, (root) => {
        for (const path of ['.dockerenv', 'etc/hostname', 'etc/hosts']) writeFileSync(join(root, path), '');
        for (const path of ['dev', 'proc']) mkdirSync(join(root, path));
      });
      expect(await changesOf()).toEqual([]);
      const request = {
        snapshot: 'container',
        parent: base,
        blobPath: storage.blob(Buffer.alloc(0)),
        scaffold: SCAFFOLD,
      };
      expect(await storage.packer.capture(request)).toBeNull();
      await inside('container', (root) => {
        writeFileSync(join(root, 'etc/hosts'), 'own words');
        writeFileSync(join(root, 'dev/file'), '');
      });
      expect(await changesOf()).toEqual(['A /dev', 'A /dev/file', 'C /etc', 'A /etc/hosts']);
      const { chainId } = await capture();
      await withLayer(storage, chainId, (root) => {
        expect(readFileSync(join(root, 'etc/hosts'), 'utf8')).toBe('own words');
        expect(lstatSync(join(root, 'etc/hostname'), { throwIfNoEntry: false })).toBeUndefined();
      });
    });

    it('makes a layer of a container without parents', async () => {
      await container(null, (root) => writeFileSync(join(root, 'file'), 'x'));
      const { chainId, diffId } = await capture(null);
      expect(chainId).toBe(diffId);
      await withLayer(storage, chainId, (root) => expect(readFileSync(join(root, 'file'), 'utf8')).toBe('x'));
    });

    it('does not share contents with the container', async () => {
      await container(base, (root) => writeFileSync(join(root, 'file'), 'before'));
      const { chainId } = await capture();
      await inside('container', (root) => writeFileSync(join(root, 'file'), 'after!'));
      await withLayer(storage, chainId, (root) => expect(readFileSync(join(root, 'file'), 'utf8')).toBe('before'));
    });

    it('refuses names that a layer takes for deletions', async () => {
      await container(base, (root) => writeFileSync(join(root, 'tmp/.wh.passwd'), ''));
      await expect(capture()).rejects.toThrow(InvalidArgumentError);
      await expect(capture()).rejects.toThrow('/tmp/.wh.passwd cannot be part of an image');
      expect((await leftovers(storage)).snapshots).toEqual([base, 'container'].sort());
    });

    it('says that there is no such snapshot', async () => {
      const request = { snapshot: 'no', parent: base, blobPath: storage.blob(Buffer.alloc(0)), scaffold: [] };
      await expect(storage.packer.capture(request)).rejects.toThrow(NotFoundError);
      await expect(storage.packer.changes('no', { scaffold: [] })).rejects.toThrow(NotFoundError);
      await expect(Array.fromAsync(storage.packer.contents('no', {}))).rejects.toThrow(NotFoundError);
    });

    it('stops when it is told to, and when nobody may go on', async () => {
      await container(base, (root) => writeFileSync(join(root, 'big'), Buffer.alloc(30_000_000, 'x')));
      const request = { snapshot: 'container', parent: base, blobPath: storage.blob(Buffer.alloc(0)), scaffold: [] };
      const controller = new AbortController();
      const cancelled = storage.packer.capture({
        ...request,
        signal: controller.signal,
        onTaken: async () => controller.abort(new Error('changed my mind')),
      });
      await expect(cancelled).rejects.toThrow('changed my mind');
      const refused = storage.packer.capture({ ...request, onTaken: () => Promise.reject(new Error('it has gone')) });
      await expect(refused).rejects.toThrow('it has gone');
      expect((await leftovers(storage)).snapshots).toEqual([base, 'container'].sort());
    });

    it('gives the whole tree as a tar', async () => {
      await container(base, (root) => shake(root, storage.files, new Dice(99), 80));
      const wanted = await inside('container', (root) => portrait(root, storage.files));
      const tar = Buffer.concat(await Array.fromAsync(storage.packer.contents('container', {})));
      const { chainId } = await storage.layers.unpack({ blobPath: storage.blob(tar), parent: null, diffId: null });
      expect(await withLayer(storage, chainId, (root) => portrait(root, storage.files))).toEqual(wanted);
    });

    it('stops giving when the reader leaves', async () => {
      await container(base, (root) => {
        writeFileSync(join(root, 'huge'), 'x'.repeat(100_000));
        truncateSync(join(root, 'huge'), 100_000);
        writeFileSync(join(root, 'more'), Buffer.alloc(50_000_000, 'y'));
      });
      for await (const chunk of storage.packer.contents('container', {})) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      const controller = new AbortController();
      const reading = (async () => {
        for await (const _ of storage.packer.contents('container', { signal: controller.signal })) {
          controller.abort(new Error('the client has gone'));
        }
      })();
      await expect(reading).rejects.toThrow('the client has gone');
    });
  });
}
