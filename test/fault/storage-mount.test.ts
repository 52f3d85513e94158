/** A kernel that refuses mounts: overlay2 is not chosen, and a layer that needs its parents mounted is undone. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { KernelError, type Kernel, type MountCalls } from '../../src/engine/kernel/kernel.ts';
import { DriverLayerStore } from '../../src/engine/storage/layers/driver-layer-store.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { leftovers, makeTestStorage } from '../support/layers.ts';
import { tarOf } from '../support/tar-builder.ts';

/** The kernel with one of its mount calls failing. */
function failing(kernel: Kernel, call: 'mount' | 'unmount' | 'syncFilesystem'): Kernel {
  const fail = (): never => {
    throw new KernelError(call, 'EPERM', null);
  };
  const real = kernel.mounts;
  const mounts: MountCalls = {
    mount: call === 'mount' ? fail : (mount, target) => real.mount(mount, target),
    mountMapped: (mount, target, userns) => real.mountMapped(mount, target, userns),
    unmount: (target, options) => {
      real.unmount(target, options);
      if (call === 'unmount') fail();
    },
    mountInThread: async (mount, target) => {
      mounts.mount(mount, target);
    },
    unmountInThread: async (target, options) => {
      mounts.unmount(target, options);
    },
    listBelow: (prefix) => real.listBelow(prefix),
    syncFilesystem: async (path) => {
      if (call === 'syncFilesystem') throw new KernelError('syncfs', 'ENOSPC', path);
      await real.syncFilesystem(path);
    },
  };
  return { ...kernel, mounts };
}

describe('a disk that is full when it is written out', () => {
  it.each(['overlay2', 'vfs'] as const)('undoes the layer on %s', async (name) => {
    await using storage = await makeTestStorage(name);
    const layers = new DriverLayerStore({
      driver: storage.driver,
      layers: storage.table,
      workers: storage.workers,
      kernel: failing(storage.kernel, 'syncFilesystem'),
      mountRoot: join(storage.root, 'mounts'),
      logger: silentLogger,
    });
    const blobPath = storage.blob(tarOf([{ name: 'file', data: 'x' }]));
    await expect(layers.unpack({ blobPath, parent: null, diffId: null })).rejects.toThrow(
      new UnavailableError('Error processing tar file(exit status 1): sync /: no space left on device'),
    );
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
    expect((await storage.layers.unpack({ blobPath, parent: null, diffId: null })).sizeBytes).toBe(1);
  });
});

describe('a kernel that refuses mounts', () => {
  it('is told by the probe, which leaves nothing behind', async () => {
    const root = mkdtempSync(join(tmpdir(), 'storage-probe-'));
    try {
      const kernel = failing({} as Kernel, 'mount');
      expect(await probeOverlay2(kernel, join(root, 'new'))).toEqual({
        works: false,
        reason: 'failed to mount overlay: mount: EPERM',
      });
      expect(readdirSync(join(root, 'new'))).toEqual([]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it.each(['mount', 'unmount'] as const)('undoes a layer that links into its parent when %s fails', async (call) => {
    await using storage = await makeTestStorage('overlay2');
    const parent = await storage.layers.unpack({
      blobPath: storage.blob(tarOf([{ name: 'file', data: 'x' }])),
      parent: null,
      diffId: null,
    });
    const layers = new DriverLayerStore({
      driver: storage.driver,
      layers: storage.table,
      workers: storage.workers,
      kernel: failing(storage.kernel, call),
      mountRoot: join(storage.root, 'mounts'),
      logger: silentLogger,
    });
    const blobPath = storage.blob(tarOf([{ name: 'hard', type: '1', linkName: 'file' }]));
    await expect(layers.unpack({ blobPath, parent: parent.chainId, diffId: null })).rejects.toThrow(`${call}: EPERM`);
    expect(await leftovers(storage)).toEqual({ snapshots: [parent.chainId], mounts: [] });
    expect(readdirSync(join(storage.root, 'mounts'))).toEqual([]);
    expect((await storage.layers.unpack({ blobPath, parent: parent.chainId, diffId: null })).sizeBytes).toBe(1);
  });
});
