/** Snapshots that nobody needs any more: they become layers themselves, the same that a copy would be. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NotFoundError } from '../../src/base/errors.ts';
import { digestOf, type ChainId } from '../../src/engine/oci/digest.ts';
import { release } from '../../src/engine/storage/driver.ts';
import type { CapturedLayer } from '../../src/engine/storage/packing.ts';
import {
  DRIVERS,
  leftovers,
  makeTestStorage,
  obstacleOf,
  withLayer,
  type DriverName,
  type TestStorage,
} from '../support/layers.ts';
import { Dice, portrait, shake } from '../support/random-tree.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const SCAFFOLD = ['/.dockerenv', '/dev', '/etc/hostname', '/etc/hosts', '/proc', '/run/deep/secrets'];
const BASE: readonly Member[] = [
  { name: 'bin/', type: '5', mode: 0o755, mtime: 5 },
  { name: 'bin/sh', data: 'sh', mode: 0o755, mtime: 6 },
  { name: 'bin/ls', type: '1', linkName: 'bin/sh' },
  { name: 'etc/', type: '5', mode: 0o755, mtime: 7 },
  { name: 'etc/passwd', data: 'root', mtime: 8 },
  { name: 'tmp/', type: '5', mode: 0o1777, mtime: 10 },
];
const TAR = tarOf(BASE);
const STEP = 'n'.repeat(200);
const DEPTH = 40;

for (const name of DRIVERS) describeSpending(name);

function describeSpending(name: DriverName): void {
  const obstacle = obstacleOf(name);
  if (obstacle !== null) {
    describe(name, () => it('works', (context) => context.skip(obstacle)));
    return;
  }
  describe(`spent snapshots on ${name}`, () => {
    let storage: TestStorage;
    let fresh: TestStorage;
    let base: ChainId;
    let count = 0;

    beforeAll(async () => {
      [storage, fresh] = [await makeTestStorage(name), await makeTestStorage(name)];
      const from = { parent: null, diffId: null };
      base = (await storage.layers.unpack({ blobPath: storage.blob(TAR), ...from })).chainId;
      await fresh.layers.unpack({ blobPath: fresh.blob(TAR), ...from });
    });
    afterEach(() => expect(storage.devices()).toEqual([]));
    afterAll(async () => {
      await storage[Symbol.asyncDispose]();
      await fresh[Symbol.asyncDispose]();
    });

    /** A container's snapshot, changed by `job`. */
    async function container(parent: ChainId | null, job: (root: string) => void | Promise<void>): Promise<string> {
      count += 1;
      const key = `container-${String(count)}`;
      const target = mkdtempSync(join(storage.root, 'mount-'));
      const mounts = await storage.driver.prepare(key, parent);
      for (const mount of mounts) storage.kernel.mounts.mount(mount, target);
      try {
        await job(target);
      } finally {
        for (const _ of mounts) storage.kernel.mounts.unmount(target);
        await release(storage.driver, key);
        rmSync(target, { recursive: true });
      }
      return key;
    }

    async function spend(
      key: string,
      parent: ChainId | null,
      latestTime: number | null = null,
    ): Promise<(CapturedLayer & { readonly blobPath: string }) | null> {
      const blobPath = storage.blob(Buffer.alloc(0));
      const request = { snapshot: key, parent, blobPath, scaffold: SCAFFOLD, isSpent: true, latestTime };
      const layer = await storage.packer.capture(request);
      await storage.driver.remove(key);
      return layer === null ? null : { ...layer, blobPath };
    }

    const seen = async (at: TestStorage, chainId: ChainId): Promise<readonly string[]> =>
      withLayer(at, chainId, (root) => [rootOf(root), ...portrait(root, at.files)]);

    it('are the same layer whenever they were made, when that is asked for', async () => {
      const write = (time: number) => (root: string) => {
        mkdirSync(join(root, 'new/below'), { recursive: true });
        writeFileSync(join(root, 'new/below/file'), 'text');
        writeFileSync(join(root, 'new/old'), 'text');
        symlinkSync('file', join(root, 'new/below/link'));
        rmSync(join(root, 'etc/passwd'));
        mount(root);
        utimesSync(join(root, 'new/old'), 900, 900);
        lutimesSync(join(root, 'new/below/link'), time, time);
        for (const path of ['new/below/file', 'new/below', 'new', 'etc']) utimesSync(join(root, path), time, time);
      };
      const layers = [
        (await spend(await container(base, write(2000)), base, 1000))!,
        (await spend(await container(base, write(3000)), base, 1000))!,
      ];
      expect(layers[1]).toMatchObject({ diffId: layers[0]?.diffId, blob: layers[0]?.blob });
      const [made] = layers as [(typeof layers)[0]];
      await withLayer(storage, made.chainId, (root) => {
        const times = ['new', 'new/below', 'new/below/file', 'new/below/link', 'new/old', 'etc'].map(
          (path) => lstatSync(join(root, path)).mtimeMs / 1000,
        );
        expect(times).toEqual([1000, 1000, 1000, 1000, 900, 1000]);
      });
      await fresh.layers.unpack({ blobPath: made.blobPath, parent: base, diffId: made.diffId });
      expect(await seen(storage, made.chainId)).toEqual(await seen(fresh, made.chainId));
    });

    it.each([77_003, 154_006])('become what their layer is when it is pulled (seed %i)', async (seed) => {
      const dice = new Dice(seed);
      let parent = base;
      for (let step = 0; step < 2; step += 1) {
        const key = await container(parent, async (root) => {
          shake(root, storage.files, dice, 60);
          mount(root);
          socket(join(root, `socket-${String(step)}`));
          chmodSync(root, 0o700);
          chownSync(root, 7, 7);
          storage.files.setXattr(root, 'user.mine', Buffer.from('x'));
        });
        const copied = await storage.packer.pack(key, storage.blob(Buffer.alloc(0)), AbortSignal.timeout(60_000));
        const layer = (await spend(key, parent))!;
        expect(copied.members).toBeGreaterThan(0);
        const { blobPath, diffId, blob, chainId } = layer;
        expect(digestOf(execFileSync('gzip', ['-dc', blobPath], { maxBuffer: 1 << 28 }))).toBe(diffId);
        expect(lstatSync(blobPath).size).toBe(blob.sizeBytes);
        expect((await fresh.layers.unpack({ blobPath, parent, diffId })).chainId).toBe(chainId);
        expect(await seen(storage, chainId)).toEqual(await seen(fresh, chainId));
        expect(await fresh.layers.stat(chainId)).toEqual(await storage.layers.stat(chainId));
        parent = chainId;
      }
    });

    it('give the same bytes as snapshots that are needed again', async () => {
      const change = (root: string): void => shake(root, storage.files, new Dice(5), 60);
      const key = await container(base, change);
      const blobPath = storage.blob(Buffer.alloc(0));
      const kept = (await storage.packer.capture({ snapshot: key, parent: base, blobPath, scaffold: SCAFFOLD }))!;
      await storage.layers.remove(kept.chainId);
      const spent = (await spend(key, base))!;
      expect({ ...spent, blobPath }).toEqual({ ...kept, blobPath });
    });

    it('are there once, whoever was first', async () => {
      const change = (root: string): void => {
        writeFileSync(join(root, 'file'), 'one');
        utimesSync(join(root, 'file'), 9, 9);
      };
      const keys = [await container(base, change), await container(base, change)];
      const [one, two] = await Promise.all(keys.map(async (key) => spend(key, base)));
      expect(two?.chainId).toBe(one?.chainId);
      const { snapshots } = await leftovers(storage);
      expect(snapshots.filter((key) => key === one?.chainId)).toHaveLength(1);
      expect(snapshots.filter((key) => key.startsWith('container-') || key.startsWith('extract-'))).toEqual([]);
    });

    it('are no layers when only the engine has put something there', async () => {
      expect(await spend(await container(base, mount), base)).toBeNull();
    });

    it('become layers without parents', async () => {
      const layer = (await spend(await container(null, (root) => writeFileSync(join(root, 'f'), 'x')), null))!;
      expect(layer.chainId).toBe(layer.diffId);
      await withLayer(storage, layer.chainId, (root) => expect(existsSync(join(root, 'f'))).toBe(true));
    });

    it('are copied when they have limits, which no layer has', async () => {
      const key = await container(base, (root) => writeFileSync(join(root, 'limited'), 'x'));
      const asked: string[] = [];
      const value = async (of: string): Promise<boolean> => Promise.resolve(asked.push(of) > 0);
      Object.defineProperty(storage.driver, 'isLimited', { value, configurable: true });
      try {
        const blobPath = storage.blob(Buffer.alloc(0));
        const request = { snapshot: key, parent: base, blobPath, scaffold: SCAFFOLD, isSpent: true };
        const layer = (await storage.packer.capture(request))!;
        expect(asked).toEqual([key]);
        expect(await storage.driver.stat(key)).not.toBeNull();
        expect((await storage.driver.stat(layer.chainId))?.kind).toBe('committed');
      } finally {
        Reflect.deleteProperty(storage.driver, 'isLimited');
        await storage.driver.remove(key);
      }
    });

    it('are looked into by what stands on them, deeper than a path can say', async () => {
      const layer = (await spend(await container(base, deepen), base))!;
      const child = container(layer.chainId, (root) => writeFileSync(join(root, 'etc/mine'), ''));
      if (name === 'vfs') {
        // It copies by paths.
        await expect(child).rejects.toThrow('name too long');
        return;
      }
      const key = await child;
      const changes = await storage.packer.changes(key, { scaffold: [] });
      expect(changes.map(({ path }) => path)).toEqual(['/etc', '/etc/mine']);
      let sizeBytes = 0;
      for await (const chunk of storage.packer.contents(key, {})) sizeBytes += chunk.length;
      expect(sizeBytes).toBeGreaterThan(DEPTH * STEP.length);
      await storage.driver.remove(key);
    });

    it('are not there', async () => {
      await expect(spend('no', base)).rejects.toThrow(NotFoundError);
    });

    it('stay when the capture is ended', async () => {
      const key = await container(base, (root) => writeFileSync(join(root, 'big'), Buffer.alloc(20_000_000, 'x')));
      const before = (await leftovers(storage)).snapshots;
      const ended = storage.packer.capture({
        snapshot: key,
        parent: base,
        blobPath: storage.blob(Buffer.alloc(0)),
        scaffold: SCAFFOLD,
        isSpent: true,
        onTaken: () => Promise.reject(new Error('changed my mind')),
      });
      await expect(ended).rejects.toThrow('changed my mind');
      expect((await leftovers(storage)).snapshots).toEqual(before);
      await storage.driver.remove(key);
    });
  });
}

/** What the engine leaves in a root where it has mounted things. */
function mount(root: string): void {
  for (const path of ['.dockerenv', 'dev/', 'etc/hostname', 'etc/hosts', 'proc/', 'run/deep/secrets']) {
    const directory = join(root, dirname(path));
    if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() === false) continue;
    mkdirSync(path.endsWith('/') ? join(root, path) : directory, { recursive: true });
    if (!existsSync(join(root, path))) writeFileSync(join(root, path), '');
  }
}

/** Longer than any path may be that a system call takes. */
function deepen(root: string): void {
  const script =
    'for (let n = process.argv[1]; n > 0; n--) { fs.mkdirSync(process.argv[2]); process.chdir(process.argv[2]) }';
  execFileSync(process.execPath, ['-e', script, String(DEPTH), STEP], { cwd: root });
}

function socket(path: string): void {
  execFileSync('python3', ['-c', 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])', path]);
  expect(statSync(path).isSocket()).toBe(true);
}

function rootOf(root: string): string {
  const { mode, uid, gid } = lstatSync(root);
  return `${mode.toString(8)} ${String(uid)}:${String(gid)}`;
}
