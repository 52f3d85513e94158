/** Storage on scratch directories, for tests that need the real thing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/logger.ts';
import type { FileCalls } from '../../src/engine/kernel/files.ts';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import { LinuxBtrfs } from '../../src/engine/kernel/linux/btrfs.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { Database } from '../../src/engine/state/database.ts';
import { LayerTable } from '../../src/engine/state/layers.ts';
import { BtrfsDriver } from '../../src/engine/storage/btrfs/driver.ts';
import type { StorageDriver } from '../../src/engine/storage/driver.ts';
import { DriverLayerStore } from '../../src/engine/storage/layers/driver-layer-store.ts';
import { DriverLayerPacker } from '../../src/engine/storage/layers/driver-layer-packer.ts';
import type { LayerWorkers } from '../../src/engine/storage/layers/workers.ts';
import { Overlay2Driver } from '../../src/engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { VfsDriver } from '../../src/engine/storage/vfs/driver.ts';
import { activeThinDevices, hasThinPools, openTestDevicemapper, type TestDevicemapper } from './devicemapper.ts';
import { layerThreads } from './layer-threads.ts';
import { LoopDisk } from './loop-disk.ts';
import { LoopbackDriver } from './loopback-driver.ts';

/** `loopback` stands for drivers that give block devices, where the kernel has no thin pools. */
export const DRIVERS = ['overlay2', 'btrfs', 'vfs', 'loopback', 'devicemapper'] as const;
export type DriverName = (typeof DRIVERS)[number];

/** A driver with its workers below a directory. */
export interface TestStorage extends AsyncDisposable {
  readonly root: string;
  readonly kernel: Kernel;
  readonly files: FileCalls;
  readonly driver: StorageDriver;
  readonly workers: LayerWorkers;
  readonly table: LayerTable;
  readonly layers: DriverLayerStore;
  readonly packer: DriverLayerPacker;
  reopenDriver(): Promise<StorageDriver>;
  /** Snapshots that a driver with holds has switched on. */
  devices(): readonly string[];
  /** Writes bytes to a file of their own. */
  blob(bytes: Uint8Array): string;
}

/** Why a driver cannot be tried on this machine; null when it can. */
export function obstacleOf(name: DriverName): string | null {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  // Whoever lists the cases of a guest has another kernel than the guest.
  const isGuest = process.env['MOORED_TEST_GUEST'] !== undefined;
  if (name === 'devicemapper') return isGuest || hasThinPools() ? null : 'this kernel has no thin pools: test/vm has';
  if (name === 'loopback') return LoopDisk.obstacle('ext4');
  return name === 'btrfs' ? LoopDisk.obstacle('btrfs') : null;
}

/** `base`: where to put it, when not in the temporary directory, or, for btrfs, on a disk of its own. */
export async function makeTestStorage(name: DriverName, base?: string): Promise<TestStorage> {
  if (name === 'btrfs' && base === undefined) return onOwnDisk();
  const root = mkdtempSync(join(base ?? tmpdir(), `storage-${name}-`));
  const storage = await openTestStorage(name, root);
  return {
    ...storage,
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      // Read-only subvolumes go with their disk.
      if (name !== 'btrfs') rmSync(root, { recursive: true });
    },
  };
}

async function onOwnDisk(): Promise<TestStorage> {
  const disk = await LoopDisk.make('btrfs');
  try {
    const storage = await makeTestStorage('btrfs', disk.path);
    return {
      ...storage,
      async [Symbol.asyncDispose]() {
        await storage[Symbol.asyncDispose]();
        await disk[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await disk[Symbol.asyncDispose]();
    throw error;
  }
}

/** Storage with its state file in a directory that stays; what a restarted daemon does. */
export async function openTestStorage(name: DriverName, root: string): Promise<TestStorage> {
  const kernel = createLinuxKernel();
  const workers = layerThreads('work');
  let thin: TestDevicemapper | null = null;
  const openDriver = async (): Promise<StorageDriver> => {
    if (name === 'devicemapper') return (thin = await openTestDevicemapper(join(root, name), kernel)).driver;
    const deleteTree = async (path: string): Promise<void> => workers.deleteTree(path);
    if (name === 'btrfs') {
      return BtrfsDriver.open({ root: join(root, name), calls: new LinuxBtrfs(), deleteTree });
    }
    if (name === 'loopback') return LoopbackDriver.open(join(root, name), kernel.mounts);
    if (name === 'vfs') {
      const copyTree = async (from: string, to: string): Promise<void> => workers.copyTree(from, to);
      return VfsDriver.open({ root: join(root, name), copyTree, deleteTree });
    }
    const probe = await probeOverlay2(kernel, join(root, name));
    if (!probe.works) throw new Error(probe.reason);
    return Overlay2Driver.open({ root: join(root, name), support: probe.support, deleteTree });
  };
  const database = Database.open(join(root, 'state.db'));
  const table = new LayerTable(database, name);
  const driver = await openDriver();
  const layers = new DriverLayerStore({
    driver,
    layers: table,
    workers,
    kernel,
    mountRoot: join(root, 'mounts'),
    logger: silentLogger,
  });
  const streamers = layerThreads('streams');
  const packer = new DriverLayerPacker({ driver, layers, workers, streamers });
  let blobs = 0;
  return {
    root,
    kernel,
    files: new LinuxFiles(),
    driver,
    workers,
    table,
    layers,
    packer,
    reopenDriver: openDriver,
    devices: () => (driver instanceof LoopbackDriver ? driver.devices : activeThinDevices(join(root, name))),
    blob: (bytes) => {
      blobs += 1;
      const path = join(root, `blob-${String(blobs)}`);
      writeFileSync(path, bytes);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await thin?.[Symbol.asyncDispose]();
      database[Symbol.dispose]();
    },
  };
}

/** Mounts a committed layer, read-only, and runs `job` on it. */
export async function withLayer<T>(storage: TestStorage, chainId: string, job: (root: string) => T): Promise<T> {
  const target = mkdtempSync(join(storage.root, 'view-'));
  const key = `view-${target.slice(-6)}`;
  const mounts = await storage.driver.view(key, chainId);
  for (const mount of mounts) storage.kernel.mounts.mount(mount, target);
  try {
    return job(target);
  } finally {
    for (const _ of mounts) storage.kernel.mounts.unmount(target);
    await storage.driver.remove(key);
  }
}

/** What must be as it was, whatever was tried: keys of snapshots, mounts below the root, files in the blob's place. */
export async function leftovers(
  storage: TestStorage,
): Promise<{ readonly snapshots: readonly string[]; readonly mounts: readonly string[] }> {
  const snapshots = await Array.fromAsync(storage.driver.walk());
  return { snapshots: snapshots.map(({ key }) => key).sort(), mounts: storage.kernel.mounts.listBelow(storage.root) };
}
