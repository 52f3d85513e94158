/** The move from one storage driver to another, beside a daemon that does not run, and the plan of it in one that does; see compose.ts. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FileContentStore } from '../../engine/content/file-store.ts';
import { ImageCatalog } from '../../engine/images/catalog.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import { createMigration } from '../../engine/migration/index.ts';
import { createMigrationPlans } from '../../engine/migration/plan.ts';
import type { MigrationPlans, StoreMigration } from '../../engine/migration/types.ts';
import { createContainerRows } from '../../engine/state/containers.ts';
import { ImageTables } from '../../engine/state/images.ts';
import { LayerTable } from '../../engine/state/layers.ts';
import { parseDriver } from '../../engine/storage/choice.ts';
import type { StorageDriver } from '../../engine/storage/driver.ts';
import { claimLayers } from '../../engine/storage/layers/claim.ts';
import { DriverLayerPacker } from '../../engine/storage/layers/driver-layer-packer.ts';
import { DriverLayerStore } from '../../engine/storage/layers/driver-layer-store.ts';
import { DriverStorageSide, roomBelow } from '../../engine/storage/layers/driver-storage-side.ts';
import type { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { noteMovedTo } from '../../engine/storage/moved-to.ts';
import type { StorageSide } from '../../engine/storage/moving.ts';
import type { OtherStorage } from '../../engine/storage/others.ts';
import { holdStore, type OfflineParts } from './offline-store.ts';
import type { Ground } from './rooms.ts';
import { driverObstacle, driversToOpen, driversWithData, openOthers } from './storage.ts';

/** Holds the store for as long as `job` moves what is in it to the driver `target`. Errors as `holdStore`'s, InvalidArgumentError for what is no driver, and ConflictError when the target does not open. */
export async function migrateOffline<T>(
  parts: OfflineParts,
  target: string,
  job: (migration: StoreMigration) => Promise<T>,
): Promise<T> {
  parseDriver(target);
  await using resources = new AsyncDisposableStack();
  const { ground, workers } = holdStore(parts, resources);
  const { database, kernel, dataRoot, clock, events } = ground;
  const drivers = resources.use(openOthers(ground, workers, null));
  const open = async (name: string): Promise<StorageSide> => sideOf(ground, workers, await drivers.open(name));
  // Before the target: layers that nobody has claimed are the source's.
  const sources = (await driversToOpen(ground)).filter((name) => name !== target);
  const opened = new Map<string, Promise<StorageSide>>(sources.map((name) => [name, open(name)]));
  await Promise.allSettled(opened.values());
  const migration = createMigration({
    target: await open(target),
    sources,
    open: async (name) => opened.get(name) ?? open(name),
    catalog: new ImageCatalog(new ImageTables(database), clock, events),
    content: await FileContentStore.open(join(dataRoot, 'content')),
    containers: createContainerRows(database),
    mounted: () => kernel.mounts.listBelow(join(dataRoot, 'containers')),
    onMoved: (name) => noteMovedTo(database, name),
    makeLasting: () => database.makeLasting(),
  });
  return await job(migration);
}

/** What moving to another driver would take, in the daemon. */
export function openMigrationPlans(
  ground: Ground,
  { workers, storage }: { readonly workers: LayerWorkers; readonly storage: OtherStorage },
): MigrationPlans {
  const { database, dataRoot } = ground;
  return createMigrationPlans({
    drivers: async () => driversWithData(ground),
    open: async (name) => sideOf(ground, workers, await storage.open(name)),
    look: async (text) => {
      const name = parseDriver(text);
      const root = join(dataRoot, name);
      const { freeBytes, copiesParents } = await roomBelow(existsSync(root) ? root : dataRoot, name);
      return {
        obstacle: await driverObstacle(ground, workers, name),
        room: { copiesParents, freeBytes: name === 'devicemapper' ? null : freeBytes },
        layers: new LayerTable(database, name).all(),
      };
    },
    containers: createContainerRows(database),
  });
}

async function sideOf(ground: Ground, workers: LayerWorkers, driver: StorageDriver): Promise<StorageSide> {
  const { database, kernel, execRoot, dataRoot, logger } = ground;
  const table = new LayerTable(database, driver.name);
  await claimLayers(driver, table);
  const mountRoot = join(execRoot, 'layers');
  const layers = new DriverLayerStore({ driver, layers: table, workers, kernel, mountRoot, logger });
  // Nothing is streamed.
  const packer = new DriverLayerPacker({ driver, layers, workers, streamers: workers });
  const files = new LinuxFiles();
  return new DriverStorageSide({ driver, table, layers, packer, workers, files, root: join(dataRoot, driver.name) });
}
