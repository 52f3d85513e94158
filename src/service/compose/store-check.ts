/** The check of the store, in the daemon and without it; see compose.ts. */
import { join } from 'node:path';
import { createStoreCheck, type DriverStore, type OtherStore } from '../../engine/check/index.ts';
import type { StoreCheck } from '../../engine/check/types.ts';
import { FileContentStore } from '../../engine/content/file-store.ts';
import type { ContentStore } from '../../engine/content/store.ts';
import { ImageCatalog } from '../../engine/images/catalog.ts';
import { Collector } from '../../engine/images/collector.ts';
import type { ImageStore } from '../../engine/images/index.ts';
import { createContainerRows } from '../../engine/state/containers.ts';
import { ImageUpkeepTable } from '../../engine/state/image-upkeep.ts';
import { ImageTables } from '../../engine/state/images.ts';
import { LayerTable } from '../../engine/state/layers.ts';
import { VolumeRepository } from '../../engine/state/volumes.ts';
import { closing, type StorageDriver } from '../../engine/storage/driver.ts';
import type { OtherStorage } from '../../engine/storage/others.ts';
import { claimLayers } from '../../engine/storage/layers/claim.ts';
import { DriverLayerStore } from '../../engine/storage/layers/driver-layer-store.ts';
import { DriverLayerUpkeep } from '../../engine/storage/layers/layer-upkeep.ts';
import type { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { hostFaults } from './closed-forward.ts';
import { holdStore, type OfflineParts } from './offline-store.ts';
import type { Ground } from './rooms.ts';
import { driversToOpen, openStorage } from './storage.ts';
import { keptLimits } from './storage/quotas.ts';

/** What the check looks into, as the rooms opened it. */
export interface OpenStore {
  readonly driver: StorageDriver;
  readonly otherStorage: OtherStorage;
  readonly workers: LayerWorkers;
  readonly layers: DriverLayerStore;
  readonly content: ContentStore;
  readonly images: ImageStore;
}

/** The room in the daemon. */
export function openStoreCheck(ground: Ground, store: OpenStore): StoreCheck {
  return checkOf(ground, store, { isOnline: true });
}

function checkOf(
  ground: Ground,
  { driver, otherStorage, workers, layers, content, images }: OpenStore,
  { isOnline }: { readonly isOnline: boolean },
): StoreCheck {
  const { database, clock, logger, dataRoot } = ground;
  const layerTable = new LayerTable(database, driver.name);
  return createStoreCheck({
    database,
    content,
    name: driver.name,
    layers,
    others: async () =>
      (await driversToOpen(ground))
        .filter((name) => name !== driver.name)
        .map((name) => otherStore({ ground, otherStorage, workers }, name)),
    upkeep: new DriverLayerUpkeep({ driver, layers: layerTable, store: layers, workers }),
    layerTable,
    images,
    containers: createContainerRows(database),
    volumes: new VolumeRepository(database),
    volumeLimits: async () => keptLimits(dataRoot),
    directories: { containers: join(dataRoot, 'containers'), volumes: join(dataRoot, 'volumes') },
    clock,
    logger,
    hostFaults: hostFaults(ground),
    isOnline,
  });
}

/** A store that is opened when somebody looks at it. */
function otherStore(
  {
    ground,
    otherStorage,
    workers,
  }: { readonly ground: Ground; readonly otherStorage: OtherStorage; readonly workers: LayerWorkers },
  name: string,
): OtherStore {
  const { database, kernel, logger, execRoot } = ground;
  const layerTable = new LayerTable(database, name);
  const open = async (): Promise<DriverStore> => {
    const driver = await otherStorage.open(name);
    const mountRoot = join(execRoot, 'layers');
    const layers = new DriverLayerStore({ driver, layers: layerTable, workers, kernel, mountRoot, logger });
    const upkeep = new DriverLayerUpkeep({ driver, layers: layerTable, store: layers, workers });
    return { name, layers, upkeep, layerTable };
  };
  return { name, layerTable, open };
}

/**
 * Holds the store of a daemon that does not run, for as long as `job` checks it: the state file's lock keeps a daemon from
 * starting meanwhile. NotFoundError when there is no store; UnavailableError when a daemon has it; DataLossError when the state file cannot be read.
 */
export async function checkOffline<T>(parts: OfflineParts, job: (check: StoreCheck) => Promise<T>): Promise<T> {
  await using resources = new AsyncDisposableStack();
  const { ground, workers } = holdStore(parts, resources);
  const { database, kernel, clock, logger, events, dataRoot, execRoot } = ground;
  const { driver, others: otherStorage } = await openStorage(ground, workers);
  resources.use(closing(driver));
  resources.use(otherStorage);
  const layerTable = new LayerTable(database, driver.name);
  await claimLayers(driver, layerTable);
  const mountRoot = join(execRoot, 'layers');
  const layers = new DriverLayerStore({ driver, layers: layerTable, workers, kernel, mountRoot, logger });
  const content = await FileContentStore.open(join(dataRoot, 'content'));
  const catalog = new ImageCatalog(new ImageTables(database), clock, events);
  const collector = new Collector({ catalog, content, layers, layerTable, clock, logger });
  const images = { catalog, collector, upkeep: new ImageUpkeepTable(database) };
  return await job(checkOf(ground, { driver, otherStorage, workers, layers, content, images }, { isOnline: false }));
}
