/** A disk that fills up while content and layers are written: the error says so, and nothing half made stays. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/base/errors.ts';
import { FileContentStore } from '../../src/engine/content/file-store.ts';
import { digestOf } from '../../src/engine/oci/digest.ts';
import { leftovers, makeTestStorage } from '../support/layers.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { tarOf } from '../support/tar-builder.ts';

const DISK_BYTES = 16 * 1024 * 1024;

describe('a full disk', () => {
  let scratch: string;
  let disk: string;

  beforeEach((context) => {
    const why = unusable();
    if (why !== null) context.skip(why);
    scratch = mkdtempSync(join(tmpdir(), 'storage-full-'));
    disk = join(scratch, 'disk');
    mkdirSync(disk);
    const image = join(scratch, 'image');
    writeFileSync(image, '');
    execFileSync('truncate', ['-s', String(DISK_BYTES), image]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    execFileSync('mount', ['-o', 'loop', image, disk]);
  });
  afterEach(() => {
    execFileSync('umount', [disk]);
    rmSync(scratch, { recursive: true });
  });

  function unusable(): string | null {
    if (process.getuid?.() !== 0) return 'mounting needs root';
    if (!existsSync('/dev/loop-control')) return 'this machine has no loop devices';
    return existsSync('/sbin/mkfs.ext4') ? null : 'mkfs.ext4 is missing';
  }

  function freeBytes(): number {
    const { bavail, bsize } = statfsSync(disk);
    return bavail * bsize;
  }

  it("stops an ingest in Docker's words; what is there can be resumed or dropped", async () => {
    const store = await FileContentStore.open(join(disk, 'content'));
    const before = freeBytes();
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const writeUntilFull = async (): Promise<never> => {
      await using ingest = await store.ingest('layer');
      for (;;) await ingest.write(piece);
    };
    const failure: unknown = await writeUntilFull().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnavailableError);
    expect((failure as Error).message).toMatch(/^write \/.*\/ingest\/layer-[0-9a-f]+: no space left on device$/);
    expect(await Array.fromAsync(store.walk())).toEqual([]);

    await using again = await store.ingest('layer');
    expect(again.offset).toBeGreaterThan(5_000_000);
    await again.discard();
    expect(freeBytes()).toBe(before);
    expect((await store.put(Buffer.from('fits again'))).digest).toBe(digestOf('fits again'));
  });

  it('refuses a put and leaves no part of it', async () => {
    const store = await FileContentStore.open(join(disk, 'content'));
    await expect(store.put(Buffer.alloc(DISK_BYTES * 2))).rejects.toThrow(/^write .*: no space left on device$/);
    expect(readdirSync(join(disk, 'content/ingest'))).toEqual([]);
    expect(await Array.fromAsync(store.walk())).toEqual([]);
  });

  it.each(['overlay2', 'vfs'] as const)('undoes a layer on %s, and the layer fits later', async (name) => {
    await using storage = await makeTestStorage(name, disk);
    await storage.driver.prepare('extract-warm', null);
    await storage.driver.remove('extract-warm');
    const file = Buffer.alloc(2 * 1024 * 1024, 'x');
    const archive = tarOf(
      Array.from({ length: 5 }, (_, index) => ({ name: `usr/lib/file-${String(index)}`, data: file })),
    );
    const blobPath = join(scratch, 'blob');
    writeFileSync(blobPath, archive);
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(freeBytes() - 5 * 1024 * 1024));
    const before = freeBytes();
    const request = { blobPath, parent: null, diffId: digestOf(archive) };

    const attempt = storage.layers.unpack(request);
    await expect(attempt).rejects.toBeInstanceOf(UnavailableError);
    await expect(attempt).rejects.toThrow(
      /^Error processing tar file\(exit status 1\): write \/usr\/lib\/file-\d: no space left on device$/,
    );
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
    expect(await storage.layers.stat(request.diffId as string as never)).toBeNull();
    expect(freeBytes()).toBe(before);

    rmSync(ballast);
    expect((await storage.layers.unpack(request)).sizeBytes).toBe(5 * file.length);
  });

  it('undoes a layer on overlay2 on xfs, and the layer fits later', async (context) => {
    const obstacle = LoopDisk.obstacle('xfs');
    if (obstacle !== null) context.skip(obstacle);
    await using xfs = await LoopDisk.make('xfs', { sizeMib: 320 });
    await using storage = await makeTestStorage('overlay2', xfs.path);
    const archive = tarOf([{ name: 'file', data: Buffer.alloc(24 * 1024 * 1024, 'x') }]);
    const blobPath = join(scratch, 'blob');
    writeFileSync(blobPath, archive);
    const { bavail, bsize } = statfsSync(xfs.path);
    const ballast = join(xfs.path, 'ballast');
    execFileSync('fallocate', ['-l', String(bavail * bsize - 12 * 1024 * 1024), ballast]);
    const request = { blobPath, parent: null, diffId: digestOf(archive) };
    await expect(storage.layers.unpack(request)).rejects.toThrow('write /file: no space left on device');
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
    rmSync(ballast);
    expect((await storage.layers.unpack(request)).sizeBytes).toBe(24 * 1024 * 1024);
  });

  it('undoes the copy of a container on vfs', async () => {
    await using storage = await makeTestStorage('vfs', disk);
    const archive = tarOf([{ name: 'big', data: Buffer.alloc(8 * 1024 * 1024) }]);
    const blobPath = join(scratch, 'blob');
    writeFileSync(blobPath, archive);
    const { chainId } = await storage.layers.unpack({ blobPath, parent: null, diffId: null });
    await expect(storage.driver.prepare('container', chainId)).rejects.toThrow('no space left on device');
    expect((await leftovers(storage)).snapshots).toEqual([chainId]);
    await storage.driver.remove(chainId);
  });

  it('says so when a snapshot cannot be made', async () => {
    await using storage = await makeTestStorage('overlay2', disk);
    const hog = join(disk, 'hog');
    mkdirSync(hog);
    let files = 0;
    try {
      for (; ; files += 1) writeFileSync(join(hog, String(files)), '');
    } catch {
      // The inodes are used up.
    }
    await expect(storage.driver.prepare('container', null)).rejects.toThrow(/no space left on device$/);
    rmSync(hog, { recursive: true });
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
    await storage.driver.prepare('container', null);
  });

  it('says so when a snapshot cannot be frozen', async () => {
    await using storage = await makeTestStorage('overlay2', disk);
    await storage.driver.prepare('extract-done', null);
    const hog = join(disk, 'hog');
    writeFileSync(hog, '');
    try {
      for (;;) appendFileSync(hog, Buffer.alloc(512));
    } catch {
      // There is not one block left.
    }
    const frozen = storage.driver.commit('extract-done', 'sha256:done');
    await expect(frozen).rejects.toBeInstanceOf(UnavailableError);
    await expect(frozen).rejects.toThrow(/^write .*\/(children|snapshot\.json\.new): no space left on device$/);
    rmSync(hog);
    await storage.driver.commit('extract-done', 'sha256:done');
    await storage.driver.remove('sha256:done');
  });
});
