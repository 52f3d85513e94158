import { chmodSync, chownSync, constants, lstatSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DriverStorageSide } from '../../src/engine/storage/layers/driver-storage-side.ts';
import { release } from '../../src/engine/storage/driver.ts';
import { newId, type ContainerId } from '../../src/base/ids.ts';
import { makeTestStorage, obstacleOf, type TestStorage } from '../support/layers.ts';
import { tarOf } from '../support/synthetic-image.ts';

/*
 * Trees copied from one driver to another: layers when their blobs are gone, and containers.
 */
function sideOf({ driver, table, layers, packer, workers, files, root }: TestStorage): DriverStorageSide {
  return new DriverStorageSide({ driver, table, layers, packer, workers, files, root: join(root, driver.name) });
}

it.for([
  ['vfs', 'overlay2'],
  ['overlay2', 'btrfs'],
  ['btrfs', 'vfs'],
] as const)('copies all from %s to %s without blobs, and leaves nothing when asked', async ([from, to], { skip }) => {
  const obstacle = obstacleOf(from) ?? obstacleOf(to);
  if (obstacle !== null) skip(obstacle);
  await using source = await makeTestStorage(from);
  await using target = await makeTestStorage(to);
  const signal = new AbortController().signal;
  const files = { 'etc/kept': 'kept', 'etc/gone': 'gone', 'dir/': '', 'dir/file': 'x' };
  const below = await source.layers.unpack({ blobPath: source.blob(await tarOf(files)), parent: null, diffId: null });
  const change = await tarOf({ 'etc/.wh.gone': '', 'dir/.wh..wh..opq': '', 'dir/new': 'new' });
  const above = await source.layers.unpack({ blobPath: source.blob(change), parent: below.chainId, diffId: null });
  const [old, fresh] = [sideOf(source), sideOf(target)];
  for (const { chainId } of [below, above]) {
    const packedPath = target.blob(Buffer.alloc(0));
    const packed = await old.pack(chainId, packedPath, signal);
    const row = old.layer(chainId);
    if (row === null) throw new Error(`no layer ${chainId}`);
    await fresh.adoptLayer(row, { ...packed, blobPath: packedPath }, signal);
    expect(fresh.layer(chainId)).toEqual(row);
    const again = target.blob(Buffer.alloc(0));
    expect((await fresh.pack(chainId, again, signal)).diffId).toBe(packed.diffId);
  }
  const id = newId<ContainerId>();
  await attributed(source, id, above.chainId);
  const packedPath = target.blob(Buffer.alloc(0));
  const changes = await old.pack(id, packedPath, signal);
  expect(changes.sockets.map(({ path, mode, uid }) => [path, (mode & 0o7777).toString(8), uid])).toEqual([
    ['etc/kept', '640', 7],
    ['run/app.sock', '777', 0],
  ]);
  expect(changes.root).toMatchObject({
    mode: 0o2750,
    uid: 3,
    gid: 4,
    xattrs: new Map([['user.note', Buffer.from('x')]]),
  });
  await fresh.adoptContainer(id, { parent: above.chainId, blobPath: packedPath, changes, sizeBytes: null }, signal);
  expect(await fresh.pack(id, target.blob(Buffer.alloc(0)), signal)).toEqual(changes);
  await mounted(target, id, (path) => {
    expect([lstatSync(join(path, 'run/app.sock')).isSocket(), lstatSync(join(path, 'etc/kept')).isSocket()]).toEqual([
      true,
      true,
    ]);
  });
  expect((await fresh.room()).freeBytes).toBeGreaterThan(1000);
  expect(await fresh.usage(id)).toBe(await old.usage(id));
  expect(await old.removeAll(signal)).toBe(3);
  expect(old.layers()).toEqual([]);
  expect(readdirSync(join(source.root, from)).filter((name) => name !== 'l')).toEqual([]);
  expect(await fresh.removeAll(signal)).toBe(3);
});

/** A container whose root directory has more than a layer can say of it, with sockets, one in the place of a layer's file. */
async function attributed(storage: TestStorage, id: string, parent: string): Promise<void> {
  const { driver, files } = storage;
  await driver.prepare(id, parent);
  await release(driver, id);
  await mounted(storage, id, (target) => {
    mkdirSync(join(target, 'run'));
    unlinkSync(join(target, 'etc/kept'));
    for (const [name, mode] of [
      ['run/app.sock', 0o777],
      ['etc/kept', 0o640],
    ] as const) {
      files.mknod(Buffer.from(join(target, name)), constants.S_IFSOCK | mode, 0n);
      chmodSync(join(target, name), mode);
    }
    chownSync(join(target, 'etc/kept'), 7, 8);
    chownSync(target, 3, 4);
    chmodSync(target, 0o2750);
    files.setXattr(target, 'user.note', Buffer.from('x'));
  });
}

async function mounted(
  { driver, kernel, root }: TestStorage,
  id: string,
  job: (target: string) => void,
): Promise<void> {
  const target = join(root, 'mounted');
  mkdirSync(target, { recursive: true });
  const mounts = await driver.mounts(id);
  for (const mount of mounts) kernel.mounts.mount(mount, target);
  job(target);
  for (const _ of mounts) kernel.mounts.unmount(target);
  await release(driver, id);
  rmdirSync(target);
}
