/** The storage driver that was asked for, that holds data, or that works here; see engine/storage/choice.ts. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, InternalError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { backingFilesystem } from '../../engine/storage/backing.ts';
import { chooseStorageDriver, STORAGE_DRIVERS, type StorageDriverName } from '../../engine/storage/choice.ts';
import { closing, type StorageDriver } from '../../engine/storage/driver.ts';
import { driversHoldingData, driversHoldingRemains } from '../../engine/storage/holding-data.ts';
import { layerCounts } from '../../engine/state/layers.ts';
import type { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import { movedTo } from '../../engine/storage/moved-to.ts';
import type { OtherStorage } from '../../engine/storage/others.ts';
import type { Ground } from './rooms.ts';
import { containerCounts, storageAdvice } from './storage-advice.ts';
import { openBtrfs } from './storage/btrfs.ts';
import { openDevicemapper } from './storage/devicemapper.ts';
import { openOverlay2 } from './storage/overlay2.ts';
import { openVfs } from './storage/vfs.ts';
import type { DriverOpener, OpenableDriver } from './storage/opener.ts';

/** Code of a driver is loaded when it may be chosen. */
const OPENERS: Readonly<Record<StorageDriverName, DriverOpener>> = {
  btrfs: openBtrfs,
  overlay2: openOverlay2,
  devicemapper: openDevicemapper,
  vfs: openVfs,
};

/** What each driver's own `--storage-opt` words begin with. */
const OPTION_PREFIXES: Readonly<Record<StorageDriverName, readonly string[]>> = {
  btrfs: ['btrfs.'],
  overlay2: ['overlay2.', 'overlay.'],
  devicemapper: ['dm.'],
  vfs: ['vfs.', 'size='],
};

/** The driver in use, with those beside it. */
export interface OpenedStorage {
  readonly driver: StorageDriver;
  readonly others: OpenedOthers;
  /** What the operator should be told. */
  readonly warnings: readonly string[];
}

/** What it has opened is closed when it is disposed of. */
export type OpenedOthers = OtherStorage & AsyncDisposable;

/** Opens it. */
export async function openStorage(ground: Ground, workers: LayerWorkers): Promise<OpenedStorage> {
  const { config, database, dataRoot } = ground;
  const asked = config.get('storage-driver');
  await mkdir(dataRoot, { recursive: true, mode: 0o710 });
  const backing = await backingFilesystem(dataRoot);
  const openable = new Map<StorageDriverName, OpenableDriver>();
  const tried = async (name: StorageDriverName): Promise<OpenableDriver> => {
    const known = openable.get(name);
    if (known !== undefined) return known;
    const found = await look(ground, workers, name, config.get('storage-opt'));
    openable.set(name, found);
    return found;
  };
  const holdingData = await driversHoldingData(dataRoot);
  const { driver, warning } = await chooseStorageDriver({
    asked: asked === '' ? null : asked,
    holdingData,
    movedTo: movedTo(database),
    dataRoot,
    backingFilesystem: backing,
    obstacleOf: async (name) => (await tried(name)).obstacle,
  });
  const opened = await initializing(async () => {
    const { open, obstacle } = await tried(driver);
    if (open === null) throw new InternalError(obstacle);
    return open();
  });
  const advice = await storageAdvice({ database, dataRoot, driver, holdingData, backing });
  return {
    driver: opened,
    others: openOthers(ground, workers, opened),
    warnings: [...(warning === null ? [] : [warning]), ...advice],
  };
}

/** Says of wrong options what they keep from coming up, in dockerd's words. */
async function initializing<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`error initializing graphdriver: ${error.message}`, { cause: error });
  }
}

/** The drivers on which anything of this store stands: layers or containers, whether they open or not. */
export async function driversWithData({ database, dataRoot }: Ground): Promise<readonly string[]> {
  const named = [...layerCounts(database).keys(), ...containerCounts(database).keys()];
  return [...new Set([...(await driversHoldingData(dataRoot)), ...named.filter((name) => name !== '')])];
}

/** Those, and the drivers of which nothing but remains is left: for who opens them all, which takes such away. */
export async function driversToOpen(ground: Ground): Promise<readonly string[]> {
  return [...new Set([...(await driversWithData(ground)), ...(await driversHoldingRemains(ground.dataRoot))])];
}

/** Drivers beside `inUse`, which is itself when it is asked for. */
export function openOthers(ground: Ground, workers: LayerWorkers, inUse: StorageDriver | null): OpenedOthers {
  const opened = new Map<string, Promise<StorageDriver>>();
  if (inUse !== null) opened.set(inUse.name, Promise.resolve(inUse));
  return {
    open: async (name) => {
      const known = opened.get(name);
      if (known !== undefined) return known;
      const opening = openOther(ground, workers, name);
      opened.set(name, opening);
      // What was in its way may be gone when it is next asked for.
      opening.catch(() => opened.delete(name));
      return opening;
    },
    [Symbol.asyncDispose]: async () => {
      for (const driver of await Promise.all(opened.values())) {
        if (driver !== inUse) await closing(driver)[Symbol.asyncDispose]();
      }
    },
  };
}

async function openOther(ground: Ground, workers: LayerWorkers, text: string): Promise<StorageDriver> {
  const name = STORAGE_DRIVERS.find((known) => known === text);
  if (name === undefined) throw new ConflictError(`storage driver ${text} is not known to this version`);
  // Words for the driver in use are not meant for this one.
  const own = ground.config.get('storage-opt').filter((word) => isFor(name, word));
  try {
    const { open, obstacle } = await look(ground, workers, name, own);
    if (open === null) throw new ConflictError(obstacle);
    return await open();
  } catch (error) {
    throw new ConflictError(`storage driver ${name} cannot be opened: ${messageOf(error)}`, { cause: error });
  }
}

/** Why a driver would not work here, found out without leaving anything behind; null when it would. */
export async function driverObstacle(
  ground: Ground,
  workers: LayerWorkers,
  name: StorageDriverName,
): Promise<string | null> {
  const own = ground.config.get('storage-opt').filter((word) => isFor(name, word));
  return (await look(ground, workers, name, own)).obstacle;
}

function isFor(name: StorageDriverName, word: string): boolean {
  return OPTION_PREFIXES[name].some((prefix) => word.toLowerCase().startsWith(prefix));
}

async function look(
  ground: Ground,
  workers: LayerWorkers,
  name: StorageDriverName,
  storageOptions: readonly string[],
): Promise<OpenableDriver> {
  const { kernel, dataRoot } = ground;
  return OPENERS[name]({ ground, kernel, workers, root: join(dataRoot, name), dataRoot, storageOptions });
}
