/*
 * Many layers and containers made and removed: nothing of them stays, on the disk, in the kernel or in this process. As
 * many as MOORED_LEAK_LAYERS says: a few by default, ten thousand when there is time.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestOf, type ChainId } from '../../src/engine/oci/digest.ts';
import { until } from '../support/engine.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { leftovers, makeTestStorage, obstacleOf, type TestStorage } from '../support/layers.ts';
import { tarOf } from '../support/tar-builder.ts';

const LAYERS = Number(process.env['MOORED_LEAK_LAYERS'] ?? 48);
/** Layers of one image, each on the one before. */
const DEPTH = 12;
/** What the file systems keep of their own when files come and go; btrfs keeps a reserve that grows at first. */
const SLACK_BYTES = 12 * 1024 * 1024;
const LAYER_MS = 400;

const KINDS = [
  ['overlay2', 'ext4'],
  ['vfs', 'ext4'],
  ['btrfs', 'btrfs'],
] as const;

describe.each(KINDS)(`${String(LAYERS)} layers on %s`, (name, kind) => {
  const obstacle = obstacleOf(name) ?? LoopDisk.obstacle(kind);

  it.skipIf(obstacle !== null)(
    `come and go without a trace${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
    { timeout: 60_000 + LAYERS * LAYER_MS },
    async () => {
      await using disk = await LoopDisk.make(kind);
      await using storage = await makeTestStorage(name, disk.path);
      // Once all is open and made that is made when it is needed first.
      await image(storage, -1);
      const before = await held(storage);
      const descriptors = openDescriptors();
      const free = freeBytes(disk);
      for (let nth = 0; nth < LAYERS / DEPTH; nth += 1) await image(storage, nth);
      const same = async (): Promise<void> => {
        expect(await held(storage)).toEqual(before);
        // One of the runner's own may have been closed meanwhile.
        await expect.poll(openDescriptors).toBeLessThanOrEqual(descriptors);
      };
      await same();
      // btrfs takes its time to clean up behind subvolumes that have gone.
      await until(() => freeBytes(disk) > free - SLACK_BYTES);
      await same();
    },
  );
});

/** An image with a container on each of its layers, one of them committed; then all of it is removed. */
async function image(storage: TestStorage, nth: number): Promise<void> {
  const { driver, layers, packer } = storage;
  const blobPath = storage.blob(Buffer.alloc(0));
  const blobs = [blobPath];
  const chain: ChainId[] = [];
  for (let depth = 0; depth < DEPTH; depth += 1) {
    const word = `${String(nth)} ${String(depth)}`;
    const tar = tarOf([{ name: `file-${String(depth)}`, data: word.repeat(100) }]);
    const layerPath = storage.blob(tar);
    blobs.push(layerPath);
    const request = { blobPath: layerPath, parent: chain.at(-1) ?? null, diffId: digestOf(tar) };
    chain.push((await layers.unpack(request)).chainId);
  }
  const [lowest = null] = chain;
  const containers = chain.map((_, index) => `container-${String(index)}`);
  for (const [index, key] of containers.entries()) await driver.prepare(key, chain[index] ?? null);
  for (const key of containers) expect((await packer.usage(key)).sizeBytes).toBe(0);
  expect(await packer.capture({ snapshot: 'container-0', parent: lowest, blobPath, scaffold: [] })).toBeNull();
  for (const key of containers) await driver.remove(key);
  for (const chainId of chain.toReversed()) await layers.remove(chainId);
  for (const path of blobs) rmSync(path);
}

/** What was removed counts as free when it has been written. */
function freeBytes(disk: LoopDisk): number {
  execFileSync('sync', ['-f', disk.path]);
  return disk.freeBytes;
}

async function held(storage: TestStorage): Promise<object> {
  const { driver, root } = storage;
  return {
    ...(await leftovers(storage)),
    files: readdirSync(join(root, driver.name)).map((name) => [
      name,
      readdirSync(join(root, driver.name, name)).length,
    ]),
  };
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
