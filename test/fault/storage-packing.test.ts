/** What goes wrong while a layer is made of a container: it is said, and nothing half made stays. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/base/errors.ts';
import { leftovers, makeTestStorage, openTestStorage, type DriverName, type TestStorage } from '../support/layers.ts';
import { tarOf } from '../support/tar-builder.ts';

const isRoot = process.getuid?.() === 0;
const MIB = 1024 * 1024;

/** An active snapshot `container` with one file of random bytes in it. */
async function containerWith(storage: TestStorage, bytes: number): Promise<string> {
  const { chainId } = await storage.layers.unpack({
    blobPath: storage.blob(tarOf([{ name: 'base/', type: '5' }])),
    parent: null,
    diffId: null,
  });
  const root = join(storage.root, 'merged');
  mkdirSync(root);
  for (const mount of await storage.driver.prepare('container', chainId)) storage.kernel.mounts.mount(mount, root);
  writeFileSync(join(root, 'file'), randomBytes(bytes));
  return root;
}

async function requestOf(storage: TestStorage) {
  const parent = (await storage.driver.stat('container'))?.parent as never;
  return { snapshot: 'container', parent, blobPath: storage.blob(Buffer.alloc(0)), scaffold: [] };
}

describe.each(['overlay2', 'vfs'] satisfies DriverName[])('a full disk on %s', (name) => {
  let disk: string;
  beforeEach((context) => {
    if (!isRoot) context.skip('mounting needs root');
    disk = mkdtempSync(join(tmpdir(), 'packing-full-'));
  });
  afterEach(() => {
    execFileSync('umount', ['-R', disk]);
    rmSync(disk, { recursive: true });
  });

  // The copy has no room; the copy has, the blob has not.
  it.each([14, 24])('of %i MiB', async (sizeMib) => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(sizeMib)}m`, 'tmpfs', disk]);
    await using storage = await openTestStorage(name, disk);
    const root = await containerWith(storage, 10 * MIB);
    const before = (await leftovers(storage)).snapshots;
    const request = await requestOf(storage);
    const failure: unknown = await storage.packer.capture(request).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnavailableError);
    expect((failure as Error).message).toContain('no space left on device');
    expect((await leftovers(storage)).snapshots).toEqual(before);
    storage.kernel.mounts.unmount(root);
  });
});

describe('a container that writes while it is read', () => {
  it('cannot lead the reader out of its tree', async (context) => {
    if (!isRoot) context.skip('mounting needs root');
    await using storage = await makeTestStorage('overlay2');
    const root = await containerWith(storage, 1000);
    const outside = join(storage.root, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'secret'), 'secret');
    mkdirSync(join(root, 'swap'));
    for (let i = 0; i < 200; i += 1) writeFileSync(join(root, `swap/secret-${String(i)}`), 'x');
    writeFileSync(join(root, 'swap/secret'), 'inside');
    mkdirSync(join(root, 'links'));
    symlinkSync(outside, join(root, 'links/swap'));
    const swapping = new AbortController();
    const swapper = (async () => {
      while (!swapping.signal.aborted) {
        renameSync(join(root, 'swap'), join(root, 'aside'));
        renameSync(join(root, 'links/swap'), join(root, 'swap'));
        renameSync(join(root, 'swap'), join(root, 'links/swap'));
        renameSync(join(root, 'aside'), join(root, 'swap'));
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      }
    })();
    try {
      for (let round = 0; round < 4; round += 1) {
        const layer = await storage.packer.capture(await requestOf(storage));
        expect(layer).not.toBeNull();
        const tar = Buffer.concat(await Array.fromAsync(storage.packer.contents('container', {})));
        // The content of the file outside; names of files inside have more behind them.
        expect(tar.includes('\0secret\0')).toBe(false);
        expect(filesThatSay('secret', join(storage.root, 'overlay2/l'))).toEqual([]);
      }
    } finally {
      swapping.abort();
      await swapper;
      storage.kernel.mounts.unmount(root);
    }
  });
});

/** Regular files below a directory that hold just this line. */
function filesThatSay(line: string, directory: string): readonly string[] {
  const { stdout } = spawnSync('grep', ['-rlx', '--devices=skip', line, directory], { encoding: 'utf8' });
  return stdout.split('\n').filter((path) => path !== '');
}
