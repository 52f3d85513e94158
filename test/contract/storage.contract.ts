import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, NotFoundError } from '../../src/base/errors.ts';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import type { Mount } from '../../src/engine/oci/mount.ts';
import type { StorageDriver } from '../../src/engine/storage/driver.ts';

/** How a driver under test is made. `reopen` is what a restarted daemon does. */
export interface StorageHarness {
  readonly driver: StorageDriver;
  readonly kernel: Kernel;
  /** The driver's directory. */
  readonly root: string;
  reopen(): Promise<StorageDriver>;
  dispose(): Promise<void>;
}

/** Docker's `maxLayerDepth`. */
const DEEPEST_IMAGE = 125;

/** What every storage driver does. */
export function describeStorageDriver(name: string, make: () => Promise<StorageHarness>): void {
  describe(`storage driver: ${name}`, () => {
    let harness: StorageHarness;
    let driver: StorageDriver;

    beforeEach(async () => {
      harness = await make();
      driver = harness.driver;
    });
    afterEach(async () => harness.dispose());

    /** Runs `job` with the mounts in place. */
    function mounted<T>(mounts: readonly Mount[], job: (root: string) => T): T {
      const target = mkdtempSync(join(tmpdir(), 'storage-mount-'));
      const done: (() => void)[] = [];
      try {
        for (const mount of mounts) {
          harness.kernel.mounts.mount(mount, target);
          done.push(() => harness.kernel.mounts.unmount(target));
        }
        return job(target);
      } finally {
        for (const undo of done.reverse()) undo();
        rmSync(target, { recursive: true });
      }
    }

    /** A committed snapshot with these files. */
    async function layer(key: string, parent: string | null, files: Readonly<Record<string, string>>): Promise<void> {
      mounted(await driver.prepare(`extract-${key}`, parent), (root) => {
        for (const [path, text] of Object.entries(files)) {
          mkdirSync(join(root, path, '..'), { recursive: true });
          writeFileSync(join(root, path), text);
        }
      });
      await driver.commit(`extract-${key}`, key);
    }

    it('stacks snapshots', async () => {
      await layer('sha256:a', null, { 'etc/one': '1', 'etc/two': '2' });
      await layer('sha256:b', 'sha256:a', { 'etc/two': 'two', 'etc/three': '3' });
      mounted(await driver.prepare('container', 'sha256:b'), (root) => {
        expect(readdirSync(join(root, 'etc')).sort()).toEqual(['one', 'three', 'two']);
        expect(readFileSync(join(root, 'etc/two'), 'utf8')).toBe('two');
      });
    });

    it('keeps what a container writes from its parent and its siblings', async () => {
      await layer('base', null, { file: 'base', gone: 'x' });
      mounted(await driver.prepare('one', 'base'), (root) => {
        writeFileSync(join(root, 'file'), 'one');
        rmSync(join(root, 'gone'));
      });
      mounted(await driver.prepare('other', 'base'), (root) => {
        expect(readFileSync(join(root, 'file'), 'utf8')).toBe('base');
        expect(existsSync(join(root, 'gone'))).toBe(true);
      });
      mounted(await driver.mounts('one'), (root) => {
        expect(readFileSync(join(root, 'file'), 'utf8')).toBe('one');
        expect(existsSync(join(root, 'gone'))).toBe(false);
      });
    });

    it('gives read-only views', async () => {
      await layer('base', null, { file: 'x' });
      await layer('next', 'base', { other: 'x' });
      for (const [key, parent] of [
        ['view-1', 'base'],
        ['view-2', 'next'],
      ] as const) {
        mounted(await driver.view(key, parent), (root) => {
          expect(readFileSync(join(root, 'file'), 'utf8')).toBe('x');
          expect(() => writeFileSync(join(root, 'file'), 'y')).toThrow('EROFS');
        });
        expect(await driver.stat(key)).toEqual({ key, kind: 'view', parent });
        await driver.remove(key);
      }
    });

    it('starts an empty tree as root owns it, 0755', async () => {
      mounted(await driver.prepare('empty', null), (root) => {
        expect(readdirSync(root)).toEqual([]);
        expect(lstatSync(root).mode & 0o7777).toBe(0o755);
      });
    });

    it('tells kinds and parents', async () => {
      await layer('sha256:base', null, { file: 'x' });
      await driver.prepare('container', 'sha256:base');
      expect(await driver.stat('sha256:base')).toEqual({ key: 'sha256:base', kind: 'committed', parent: null });
      expect(await driver.stat('container')).toEqual({ key: 'container', kind: 'active', parent: 'sha256:base' });
      expect(await driver.stat('extract-sha256:base')).toBeNull();
      const all = await Array.fromAsync(driver.walk());
      expect(all.map(({ key }) => key).sort()).toEqual(['container', 'sha256:base']);
    });

    it('takes any key', async () => {
      const keys = ['l', '.', '..', '.new-x', 'a/b', 'a,b:c', '%41', 'ü', 'staging'];
      for (const key of keys) await driver.prepare(key, null);
      expect((await Array.fromAsync(driver.walk())).map(({ key }) => key).sort()).toEqual([...keys].sort());
      for (const key of keys) await driver.remove(key);
      expect(await Array.fromAsync(driver.walk())).toEqual([]);
    });

    it('refuses a key twice and a parent that is not there or not committed', async () => {
      await driver.prepare('one', null);
      await expect(driver.prepare('one', null)).rejects.toThrow(ConflictError);
      await expect(driver.prepare('two', 'missing')).rejects.toThrow(NotFoundError);
      await expect(driver.prepare('two', 'one')).rejects.toThrow(NotFoundError);
      await expect(driver.view('two', 'missing')).rejects.toThrow(NotFoundError);
      await expect(driver.mounts('two')).rejects.toThrow(NotFoundError);
      await expect(driver.usage('two')).rejects.toThrow(NotFoundError);
      await expect(driver.commit('two', 'x')).rejects.toThrow(NotFoundError);
      expect(await driver.stat('two')).toBeNull();
    });

    it('keeps the active snapshot when its name is taken', async () => {
      await layer('base', null, { file: 'x' });
      await driver.prepare('again', null);
      await expect(driver.commit('again', 'base')).rejects.toThrow(ConflictError);
      expect(await driver.stat('again')).toEqual({ key: 'again', kind: 'active', parent: null });
      await driver.commit('again', 'other');
      expect(await driver.stat('other')).toEqual({ key: 'other', kind: 'committed', parent: null });
    });

    it('removes children before parents, and twice', async () => {
      await layer('base', null, { file: 'x' });
      await layer('next', 'base', { other: 'x' });
      await driver.prepare('container', 'next');
      await expect(driver.remove('base')).rejects.toThrow(ConflictError);
      await expect(driver.remove('next')).rejects.toThrow(ConflictError);
      for (const key of ['container', 'next', 'base', 'base', 'never']) await driver.remove(key);
      expect(await Array.fromAsync(driver.walk())).toEqual([]);
    });

    it('is told apart children from failed ones', async () => {
      await layer('base', null, { file: 'x' });
      await driver.prepare('one', 'base');
      await expect(driver.prepare('one', 'base')).rejects.toThrow(ConflictError);
      await expect(driver.remove('base')).rejects.toThrow(ConflictError);
      await driver.remove('one');
      await driver.remove('base');
      expect(await driver.stat('base')).toBeNull();
    });

    it('counts only what a snapshot has itself', async () => {
      await layer('base', null, { file: 'x'.repeat(5000) });
      expect((await driver.usage('base')).sizeBytes).toBe(5000);
      mounted(await driver.prepare('container', 'base'), (root) => writeFileSync(join(root, 'mine'), 'y'.repeat(300)));
      const own = await driver.usage('container');
      expect(own.sizeBytes).toBe(driver.name === 'overlay2' ? 300 : 5300);
      expect(own.inodes).toBe(driver.name === 'overlay2' ? 1 : 2);
      expect((await driver.usage('container', ['/mine'])).sizeBytes).toBe(driver.name === 'overlay2' ? 0 : 5000);
    });

    it('finds everything again after a restart, and nothing unfinished', async () => {
      await layer('base', null, { file: 'x' });
      await driver.prepare('container', 'base');
      mkdirSync(join(harness.root, '.new-1234/children'), { recursive: true });
      mkdirSync(join(harness.root, '.old-1234/children'), { recursive: true });
      driver = await harness.reopen();
      expect((await Array.fromAsync(driver.walk())).map(({ key }) => key).sort()).toEqual(['base', 'container']);
      expect(readdirSync(harness.root).filter((entry) => /^\.(new|old)-/.test(entry))).toEqual([]);
      mounted(await driver.mounts('container'), (root) => expect(readFileSync(join(root, 'file'), 'utf8')).toBe('x'));
    });

    it('mounts as deep a stack as Docker allows an image', async () => {
      let parent: string | null = null;
      for (let depth = 0; depth < DEEPEST_IMAGE; depth += 1) {
        const key = `sha256:${String(depth)}`;
        await driver.prepare(`extract-${key}`, parent);
        await driver.commit(`extract-${key}`, key);
        parent = key;
      }
      mounted(await driver.prepare('container', parent), (root) => {
        writeFileSync(join(root, 'file'), 'x');
        expect(readdirSync(root)).toEqual(['file']);
      });
    });

    it('works on many snapshots at once', async () => {
      await layer('base', null, { file: 'x' });
      const keys = Array.from({ length: 20 }, (_, index) => `container-${String(index)}`);
      await Promise.all(keys.map(async (key) => driver.prepare(key, 'base')));
      await expect(driver.remove('base')).rejects.toThrow(ConflictError);
      await Promise.all(keys.map(async (key) => driver.remove(key)));
      await driver.remove('base');
      expect(await Array.fromAsync(driver.walk())).toEqual([]);
    });
  });
}
