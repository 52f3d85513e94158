import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataLossError, NotFoundError } from '../../src/base/errors.ts';
import { newId } from '../../src/base/ids.ts';
import type { ChainId } from '../../src/engine/oci/digest.ts';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { isBare, release } from '../../src/engine/storage/driver.ts';
import { isMendable, type MendableDriver } from '../../src/engine/storage/mending.ts';
import { DriverLayerUpkeep } from '../../src/engine/storage/layers/layer-upkeep.ts';
import { makeTestStorage, obstacleOf, type DriverName, type TestStorage } from '../support/layers.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const SIGNAL = new AbortController().signal;
const LAYERS: readonly (readonly Member[])[] = [
  [
    { name: 'a/', type: '5' },
    { name: 'a/one', data: 'one' },
    { name: 'a/two', data: 'two', mtime: 5 },
    { name: 'gone', data: 'x' },
  ],
  [
    { name: '.wh.gone' },
    { name: 'a/link', type: '1', linkName: 'a/one' },
    { name: 'diff', type: '2', linkName: 'x/ABCDEFGH' },
    { name: 'b', data: 'bee', mode: 0o640, uid: 3, gid: 4, mtime: 7 },
  ],
  [{ name: 'c', data: 'sea' }],
];

const FILE_DRIVERS: readonly DriverName[] = ['overlay2', 'btrfs', 'vfs'];
const thinObstacle = obstacleOf('devicemapper');
if (thinObstacle !== null) it('mending on devicemapper works', (context) => context.skip(thinObstacle));

/** Layers that are looked at for damage, and replaced under what stands on them, alike on every driver that can. */
describe.each([...FILE_DRIVERS, ...(thinObstacle === null ? ['devicemapper' as const] : [])])(
  'mending on %s',
  (name) => {
    let storage: TestStorage;
    let driver: MendableDriver;
    let upkeep: DriverLayerUpkeep;
    let chain: ChainId[];
    let blobs: string[];
    let container: string;

    beforeEach(async (context) => {
      const obstacle = obstacleOf(name);
      if (obstacle !== null) context.skip(obstacle);
      storage = await makeTestStorage(name);
      if (!isMendable(storage.driver)) throw new Error(`${name} cannot mend`);
      driver = storage.driver;
      const { table, layers, workers } = storage;
      upkeep = new DriverLayerUpkeep({ driver, layers: table, store: layers, workers });
      [chain, blobs] = [[], []];
      for (const members of LAYERS) {
        const blobPath = storage.blob(tarOf(members));
        blobs.push(blobPath);
        chain.push((await storage.layers.unpack({ blobPath, parent: chain.at(-1) ?? null, diffId: null })).chainId);
      }
      container = newId();
      await driver.prepare(container, chain[2]!);
    });
    afterEach(async () => storage[Symbol.asyncDispose]());

    const layer = (index: number): ChainId => chain[index]!;
    const directory = (index: number): string => join(storage.root, name, layer(index).replace(':', '+'));
    const compare = async (index: number): Promise<readonly string[]> =>
      upkeep.compare(layer(index), blobs[index]!, SIGNAL);

    /** What a container that stood on the layers all the time sees when it is mounted. */
    async function seen(path: string): Promise<string | null> {
      const target = mkdtempSync(join(tmpdir(), 'mending-'));
      try {
        for (const mount of await driver.mounts(container)) storage.kernel.mounts.mount(mount, target);
        return existsSync(join(target, path)) ? readFileSync(join(target, path), 'utf8') : null;
      } finally {
        storage.kernel.mounts.unmount(target);
        rmSync(target, { recursive: true });
      }
    }

    /** Where what a snapshot itself brought lies. */
    async function ownTree(key: string): Promise<string> {
      if (isBare(driver)) return (await driver.layerRoot(key)).path;
      const [mount] = await driver.mounts(key);
      return mount?.source ?? '';
    }

    /** Does what somebody with root's rights can do to a layer; only Btrfs asks him to make it writable first. */
    async function inspiteOfFreeze(index: number, damage: () => void | Promise<void>): Promise<void> {
      const tree = join(directory(index), 'tree');
      if (name === 'btrfs') await new LinuxBtrfs().setReadOnly(tree, false);
      await damage();
      if (name === 'btrfs' && existsSync(tree)) await new LinuxBtrfs().setReadOnly(tree, true);
    }

    /** Runs `job` on what a snapshot itself brought; where that is a device, it is mounted writable meanwhile. */
    async function onTree(key: string, job: (tree: string) => void): Promise<void> {
      if (name !== 'devicemapper') {
        job(await ownTree(key));
        return;
      }
      const target = mkdtempSync(join(tmpdir(), 'mending-'));
      const [mount] = await driver.mounts(key);
      storage.kernel.mounts.mount(
        { ...mount!, options: mount!.options.map((word) => (word === 'ro' ? 'rw' : word)) },
        target,
      );
      try {
        job(target);
      } finally {
        storage.kernel.mounts.unmount(target);
        await release(driver, key);
        rmSync(target, { recursive: true });
      }
    }

    /** A layer on a device has nothing but the device's number. */
    async function dropFiles(index: number): Promise<void> {
      if (name === 'devicemapper') rmSync(join(directory(index), 'device.json'));
      else rmSync(await ownTree(layer(index)), { recursive: true });
    }

    async function expectSound(): Promise<void> {
      for (const [index, chainId] of chain.entries()) {
        expect([index, await upkeep.examine(chainId)]).toEqual([index, null]);
        expect([index, await compare(index)]).toEqual([index, []]);
      }
      expect([await seen('a/one'), await seen('a/link'), await seen('b'), await seen('c'), await seen('gone')]).toEqual(
        ['one', 'one', 'bee', 'sea', null],
      );
      expect(await upkeep.leftovers(() => new Set([container]))).toEqual([]);
    }

    it('finds nothing in what is sound, whiteouts and links into parents too', async () => {
      await expectSound();
      expect(await upkeep.snapshotOf(container)).toEqual({ parent: layer(2) });
      expect(await upkeep.snapshotOf('nobody')).toBeNull();
      await expect(upkeep.examine('sha256:00' as ChainId)).rejects.toThrow(NotFoundError);
    });

    it.each<[string, (tree: string) => void, RegExp]>([
      [
        'content',
        (tree) => keepTime(join(tree, 'b'), () => writeFileSync(join(tree, 'b'), 'BEE')),
        /^\/b has other content$/,
      ],
      ['size', (tree) => writeFileSync(join(tree, 'b'), 'bees'), /^\/b has 4 bytes in place of 3$/],
      ['mode', (tree) => chmodSync(join(tree, 'b'), 0o666), /^\/b has another type or mode$/],
      ['owner', (tree) => chownSync(join(tree, 'b'), 3, 5), /^\/b has another owner$/],
      ['time', (tree) => utimesSync(join(tree, 'b'), 1, 1), /^\/b has another time$/],
      ['a file that is gone', (tree) => unlinkSync(join(tree, 'b')), /^\/b is missing$/],
      ['a file too many', (tree) => writeFileSync(join(tree, 'evil'), ''), /^\/evil is not in the layer$/],
      [
        'where a link leads',
        (tree) => {
          unlinkSync(join(tree, 'diff'));
          symlinkSync('/etc', join(tree, 'diff'));
        },
        /^\/diff leads elsewhere$/,
      ],
    ])('tells %s, and puts the right tree in its place', async (_what, damage, expected) => {
      await inspiteOfFreeze(1, async () => onTree(layer(1), damage));
      expect(await upkeep.examine(layer(1))).toBeNull();
      const differences = await compare(1);
      expect(differences).toHaveLength(1);
      expect(differences[0]).toMatch(expected);
      await upkeep.rebuild(layer(1), blobs[1]!, SIGNAL);
      // A driver of whole trees copied the damage into what was made on it.
      if (name === 'overlay2') await expectSound();
      else expect(await compare(1)).toEqual([]);
    });

    describe.each([0, 1, 2])('layer %i', (index) => {
      it.each<[string, () => Promise<void>]>([
        ['without its files', async () => dropFiles(index)],
        ['without its description', async () => rmSync(join(directory(index), 'snapshot.json'))],
        ['with a damaged description', async () => writeFileSync(join(directory(index), 'snapshot.json'), '{"kind":')],
        ['without its directory', async () => rmSync(directory(index), { recursive: true })],
        [
          'of which nothing is left',
          async () => {
            await dropFiles(index);
            rmSync(directory(index), { recursive: true, force: true });
          },
        ],
      ])('%s is told and rebuilt under its children', async (_what, damage) => {
        await inspiteOfFreeze(index, damage);
        expect(await upkeep.examine(layer(index))).toMatch(/missing|damaged|does not know/);
        await upkeep.rebuild(layer(index), blobs[index]!, SIGNAL);
        await expectSound();
        // It can go as before, once nothing stands on it.
        await driver.remove(container);
        for (const chainId of chain.toReversed()) await storage.layers.remove(chainId);
        expect(await upkeep.leftovers(() => new Set())).toEqual([]);
      });
    });

    it.for([
      ['before', 'active'],
      ['after', 'committed'],
    ] as const)(
      'keeps the files of a rebuilt layer that a rebuild killed %s it was done left under two names',
      async ([, kind], context) => {
        if (name !== 'overlay2') context.skip('only overlay2 keeps a layer under letters that its children know');
        // As after a kill between the move of the new files and the change of places.
        const half = 'extract-killed-0';
        await driver.prepare(half, layer(0));
        const fresh = readlinkSync(join(storage.root, name, half, 'diff'));
        const known = readlinkSync(join(directory(1), 'diff'));
        const at = (link: string): string => join(directory(1), link);
        rmSync(at(known), { recursive: true });
        renameSync(at(fresh), at(known));
        unlinkSync(join(directory(1), 'diff'));
        unlinkSync(join(storage.root, name, half, 'diff'));
        symlinkSync(known, join(storage.root, name, half, 'diff'));
        const record = join(storage.root, name, half, 'snapshot.json');
        writeFileSync(record, readFileSync(record, 'utf8').replace('"active"', `"${kind}"`));

        expect(await upkeep.examine(layer(1))).toMatch(/missing/);
        await upkeep.rebuild(layer(1), blobs[1]!, SIGNAL);
        for (const { remove } of await upkeep.leftovers(() => new Set([container]))) await remove();
        await expectSound();
      },
    );

    it('does not put in its place what is another layer', async () => {
      await expect(upkeep.rebuild(layer(1), blobs[2]!, SIGNAL)).rejects.toThrow(DataLossError);
      await expect(upkeep.compare(layer(1), blobs[2]!, SIGNAL)).rejects.toThrow(DataLossError);
      await expectSound();
    });

    it('tells what belongs to nobody with its size, and removes just that', async () => {
      await driver.prepare('nobody', layer(2));
      await onTree('nobody', (tree) => writeFileSync(join(tree, 'big'), Buffer.alloc(10_000)));
      mkdirSync(join(storage.root, name, 'stray'));
      const leftovers = await upkeep.leftovers(() => new Set([container]));
      expect(leftovers.map(({ name: what }) => what.split('/').at(-1)).toSorted()).toEqual(['nobody', 'stray']);
      expect(leftovers.find(({ name: what }) => what === 'nobody')?.sizeBytes).toBeGreaterThanOrEqual(10_000);
      for (const { remove } of leftovers) expect(await remove()).toBe(true);
      await expectSound();
    });

    it('what somebody came to need is not removed', async () => {
      const known = new Set([container]);
      await driver.prepare('coming', layer(2));
      const [leftover] = await upkeep.leftovers(() => known);
      known.add('coming');
      expect(await leftover?.remove()).toBe(false);
      expect(await driver.stat('coming')).not.toBeNull();
    });

    it('leaves work of this engine alone, and takes what an earlier one left of its own', async () => {
      const own = storage.layers.newKey();
      // As another engine names its own.
      const earlier = own.replace(/-[0-9a-f]+-/, '-00000000-');
      for (const key of [own, earlier]) await driver.prepare(key, layer(2));
      const leftovers = await upkeep.leftovers(() => new Set([container]));
      expect(leftovers.map(({ name: what }) => what)).toEqual([earlier]);
      for (const { remove } of leftovers) expect(await remove()).toBe(true);
      expect(await driver.stat(own)).not.toBeNull();
      // At a start no work is under way.
      await storage.layers.sweep();
      expect(await driver.stat(own)).toBeNull();
      await expectSound();
    });

    it('opens with a damaged description among the others', async () => {
      writeFileSync(join(directory(1), 'snapshot.json'), '');
      const reopened = await storage.reopenDriver();
      const keys: string[] = [];
      for await (const { key } of reopened.walk()) keys.push(key);
      expect(keys.toSorted()).toEqual([layer(0), layer(2), container].toSorted());
      await storage.layers.sweep();
      expect(existsSync(directory(1))).toBe(true);
    });
  },
);

function keepTime(path: string, job: () => void): void {
  const { atime, mtime } = statSync(path);
  job();
  utimesSync(path, atime, mtime);
}
