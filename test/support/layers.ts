/** Storage on scratch directories, for tests that need the real thing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { FileCalls } from '../../src/engine/kernel/files.ts';
import type { Kernel } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { Database } from '../../src/engine/state/database.ts';
import { LayerTable } from '../../src/engine/state/layers.ts';
import type { StorageDriver } from '../../src/engine/storage/driver.ts';
import { DriverLayerStore } from '../../src/engine/storage/layers/driver-layer-store.ts';
import { LayerWorkers } from '../../src/engine/storage/layers/workers.ts';
import { Overlay2Driver } from '../../src/engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../src/engine/storage/overlay2/probe.ts';
import { VfsDriver } from '../../src/engine/storage/vfs/driver.ts';

export const LAYER_WORKER_URL = new URL('../../src/service/layer-worker.ts', import.meta.url);

export type DriverName = 'overlay2' | 'vfs';

/** A driver with its workers below a directory. */
export interface TestStorage extends AsyncDisposable {
  readonly root: string;
  readonly kernel: Kernel;
  readonly files: FileCalls;
  readonly driver: StorageDriver;
  readonly workers: LayerWorkers;
  readonly table: LayerTable;
  readonly layers: DriverLayerStore;
  reopenDriver(): Promise<StorageDriver>;
  /** Writes bytes to a file of their own. */
  blob(bytes: Uint8Array): string;
}

/** `base`: where to put it, when not in the temporary directory. */
export async function makeTestStorage(name: DriverName, base: string = tmpdir()): Promise<TestStorage> {
  const root = mkdtempSync(join(base, `storage-${name}-`));
  const storage = await openTestStorage(name, root);
  return {
    ...storage,
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      rmSync(root, { recursive: true });
    },
  };
}

/** Storage with its state file in a directory that stays; what a restarted daemon does. */
export async function openTestStorage(name: DriverName, root: string): Promise<TestStorage> {
  const kernel = createLinuxKernel();
  const workers = new LayerWorkers({ url: LAYER_WORKER_URL, clock: new SystemClock() });
  const openDriver = async (): Promise<StorageDriver> => {
    if (name === 'vfs')
      return VfsDriver.open({ root: join(root, name), copyTree: async (from, to) => workers.copyTree(from, to) });
    const probe = await probeOverlay2(kernel, join(root, name));
    if (!probe.works) throw new Error(probe.reason);
    return Overlay2Driver.open({ root: join(root, name), support: probe.support });
  };
  const database = Database.open(join(root, 'state.db'));
  const table = new LayerTable(database);
  const driver = await openDriver();
  const layers = new DriverLayerStore({
    driver,
    layers: table,
    workers,
    kernel,
    mountRoot: join(root, 'mounts'),
    logger: silentLogger,
  });
  let blobs = 0;
  return {
    root,
    kernel,
    files: new LinuxFiles(),
    driver,
    workers,
    table,
    layers,
    reopenDriver: openDriver,
    blob: (bytes) => {
      blobs += 1;
      const path = join(root, `blob-${String(blobs)}`);
      writeFileSync(path, bytes);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await workers[Symbol.asyncDispose]();
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
