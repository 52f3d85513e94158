/**
 * Snapshots as thin devices of one pool: each has a file system of its own that begins as its parent's.
 *
 * ```
 * <root>/<snapshot>/device.json    which device (ThinDevice); a view has none, it is its parent's
 * <root>/.pool/ledger              see ledger.ts
 * <root>/.pool/base.json           see base-device.ts
 * <root>/.pool/deleted/            see doomed-devices.ts
 * ```
 *
 * Device ids are written down before the pool is asked (pool-transactions.ts) and forgotten after the device is gone: a
 * snapshot disappears, the disk knows it, its device is deleted, its directory goes. Whoever is killed in between leaves a
 * directory `.new-…` or `.old-…` that still tells the next daemon which device to delete.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { humanSize } from '../../../base/byte-size.ts';
import { ConflictError, DataLossError, errnoCodeOf, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { Mount } from '../../oci/mount.ts';
import type {
  DescribableDriver,
  HeldDriver,
  LimitingDriver,
  RoomyDriver,
  SnapshotInfo,
  SnapshotOptions,
  SnapshotUsage,
  StorageStatus,
} from '../driver.ts';
import type { MendableDriver, Stray } from '../mending.ts';
import { MountedTrees } from '../mounted-trees.ts';
import { SnapshotDirectory, type SnapshotRecord } from '../snapshot-directory.ts';
import { measureTree } from '../tree-usage.ts';
import { ActiveDevices } from './active-devices.ts';
import { openBaseDevice, refuseUsedPool, type BaseDevice } from './base-device.ts';
import { DoomedDevices } from './doomed-devices.ts';
import type { DevicemapperOptions } from './driver-options.ts';
import { syncDirectory } from '../directories.ts';
import { Ledger } from './ledger.ts';
import { refuseFullPool } from './pool-room.ts';
import { PoolTransactions } from './pool-transactions.ts';
import { deviceMount } from './settings.ts';
import { dropDevice, readDevice, writeDevice, type ThinDevice } from './thin-device.ts';
import type { ThinPool } from './thin-pool.ts';

const POOL_DIRECTORY = '.pool';

/** What an open driver has. */
interface Parts {
  readonly devices: ActiveDevices;
  readonly transactions: PoolTransactions;
  readonly doomed: DoomedDevices;
}

export class DevicemapperDriver
  implements HeldDriver, DescribableDriver, LimitingDriver, MendableDriver, RoomyDriver, AsyncDisposable
{
  readonly name = 'devicemapper';
  readonly #options: DevicemapperOptions;
  readonly #snapshots: SnapshotDirectory;
  readonly #devices: ActiveDevices;
  readonly #trees: MountedTrees;
  readonly #transactions: PoolTransactions;
  readonly #doomed: DoomedDevices;
  #base: BaseDevice | null = null;

  private constructor(options: DevicemapperOptions, parts: Parts) {
    this.#options = options;
    this.#devices = parts.devices;
    this.#transactions = parts.transactions;
    this.#doomed = parts.doomed;
    const { root, mounts, mountRoot, reserved = [] } = options;
    this.#trees = new MountedTrees({ driver: this, mounts, mountRoot });
    const discard = async (directory: string): Promise<void> => this.#discard(directory);
    this.#snapshots = new SnapshotDirectory(root, { discard, deleteLayer: async () => {} }, reserved);
  }

  /**
   * Opens the driver's directory with the pool that it goes with, and takes away what a killed daemon left unfinished.
   * Devices that are mounted stay. UnavailableError for a pool that is not the directory's, or out of order.
   */
  static async open(options: DevicemapperOptions): Promise<DevicemapperDriver> {
    const { root, pool, prefix, settings, clock, logger } = options;
    const own = join(root, POOL_DIRECTORY);
    await mkdir(own, { recursive: true, mode: 0o700 });
    const path = join(own, 'base.json');
    await refuseUsedPool({ path, pool });
    const ledger = await Ledger.open(join(own, 'ledger'));
    const owned = async (): Promise<ReadonlySet<number>> => driver.#owned();
    const { highestDeviceId } = options;
    const transactions = await PoolTransactions.open({
      pool,
      ledger,
      owned,
      logger,
      ...(highestDeviceId !== undefined && { highestDeviceId }),
    });
    const devices = new ActiveDevices({ pool, prefix, deferredRemoval: settings.deferredRemoval });
    const tryDelete = async (deviceId: number): Promise<boolean> => driver.#tryDelete(deviceId);
    const doomed = new DoomedDevices({ directory: join(own, 'deleted'), tryDelete, clock, logger });
    const driver = new DevicemapperDriver(options, { devices, transactions, doomed });
    await doomed.open();
    await devices.sweep();
    await driver.#snapshots.open();
    driver.#base = await openBaseDevice({ ...options, path, transactions, devices });
    return driver;
  }

  get root(): string {
    return this.#snapshots.root;
  }

  async status(): Promise<StorageStatus> {
    const { describePool, settings } = this.#options;
    return (await describePool?.({ base: this.#theBase(), settings, doomedCount: this.#doomed.ids.size })) ?? [];
  }

  async freeBytes(): Promise<number> {
    const { data } = await this.#options.pool.status();
    return data.totalBytes - data.usedBytes;
  }

  async prepare(key: string, parent: string | null, options?: SnapshotOptions): Promise<readonly Mount[]> {
    const origin = parent === null ? this.#theBase() : await this.#deviceOfParent(parent);
    const sizeBytes = options?.sizeBytes ?? origin.sizeBytes;
    if (sizeBytes < origin.sizeBytes) {
      throw new InvalidArgumentError(`devmapper: Container size cannot be smaller than ${humanSize(origin.sizeBytes)}`);
    }
    const record: SnapshotRecord = { kind: 'active', parent, link: '', lower: [] };
    let path = '';
    await this.#snapshots.create(key, record, async (directory) => {
      const device = await this.#snapshotOf(origin, parent, { sizeBytes, directory });
      path = await this.#devices.hold(key, device);
      if (sizeBytes > origin.sizeBytes) await this.#grow(path);
    });
    return this.#mountsOf(path, 'active');
  }

  async view(key: string, parent: string): Promise<readonly Mount[]> {
    const device = await this.#deviceOfParent(parent);
    const record: SnapshotRecord = { kind: 'view', parent, link: '', lower: [] };
    let path = '';
    try {
      await this.#snapshots.create(key, record, async () => {
        path = await this.#devices.hold(key, device);
      });
    } catch (error) {
      if (path !== '') await this.#devices.release(key, device.deviceId);
      throw error;
    }
    return this.#mountsOf(path, 'view');
  }

  async mounts(key: string): Promise<readonly Mount[]> {
    const record = await this.#snapshots.get(key);
    const device = await this.#deviceUnder(key, record);
    const path = await this.#named(device, key, async () => this.#devices.hold(key, device));
    return this.#mountsOf(path, record.kind);
  }

  async release(key: string): Promise<void> {
    const record = await this.#snapshots.find(key);
    if (record === null) return;
    await this.#devices.release(key, (await this.#deviceUnder(key, record)).deviceId);
  }

  /** Of a size of its own, which nothing on it could be smaller than. */
  async isLimited(key: string): Promise<boolean> {
    const record = await this.#snapshots.get(key);
    const origin = record.parent === null ? this.#theBase() : await this.#deviceOfParent(record.parent);
    return (await this.#deviceUnder(key, record)).sizeBytes !== origin.sizeBytes;
  }

  async commit(key: string, name: string): Promise<void> {
    const record = await this.#snapshots.find(key);
    await this.#snapshots.commit(key, name);
    if (record !== null) await this.#devices.end(key, (await this.#deviceUnder(name, record)).deviceId);
  }

  async remove(key: string): Promise<void> {
    const record = await this.#snapshots.find(key).catch(damagedIsNull);
    const device = record === null ? null : await this.#deviceUnder(key, record).catch(damagedIsNull);
    if (device !== null && record?.kind !== 'view') await this.#mustBeIdle(key, device);
    await this.#snapshots.remove(key);
    if (device !== null && record?.kind === 'view') await this.#devices.end(key, device.deviceId);
  }

  async stat(key: string): Promise<SnapshotInfo | null> {
    const record = await this.#snapshots.find(key);
    return record === null ? null : { key, kind: record.kind, parent: record.parent };
  }

  async usage(key: string, except: readonly string[] = []): Promise<SnapshotUsage> {
    const { kind } = await this.#snapshots.get(key);
    if (kind === 'view') return { sizeBytes: 0, inodes: 0 };
    return Undo.guard(async (undo) => {
      const { root } = await this.#trees.hold(key, undo, { access: 'read' });
      const usage = await measureTree(root, except);
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      return usage;
    });
  }

  async describe(key: string): Promise<Readonly<Record<string, string>>> {
    const { deviceId, sizeBytes } = await this.#deviceUnder(key, await this.#snapshots.get(key));
    return {
      DeviceId: String(deviceId),
      DeviceName: this.#devices.nameOf(deviceId),
      DeviceSize: String(sizeBytes),
    };
  }

  async examine(key: string): Promise<string | null> {
    const record = await this.#snapshots.examine(key);
    if (typeof record === 'string') return record;
    const device = await readDevice(this.#snapshots.pathOf(key)).catch(damagedIsNull);
    if (device === null) return 'it does not know its device';
    try {
      await this.#devices.hold(key, device);
    } catch (error) {
      if (errnoCodeOf(error) === 'ENODATA') return `its device ${String(device.deviceId)} is missing`;
      throw error;
    }
    await this.#devices.release(key, device.deviceId);
    return null;
  }

  async replace(key: string, name: string): Promise<void> {
    const record = await this.#snapshots.get(key);
    const { deviceId } = await this.#deviceUnder(key, record);
    await this.#snapshots.replace(key, name, record);
    await this.#devices.end(key, deviceId);
  }

  async strays(): Promise<readonly Stray[]> {
    return this.#snapshots.strays();
  }

  async dropStray(stray: Stray): Promise<boolean> {
    return this.#snapshots.dropStray(stray);
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#snapshots.walk();
  }

  /** Stops trying to delete what could not be deleted so far, and lets go of the pool. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#doomed[Symbol.dispose]();
    await this.#options.close?.();
  }

  /** Makes the device of a snapshot whose directory is being made. */
  async #snapshotOf(
    origin: ThinDevice,
    parent: string | null,
    { sizeBytes, directory }: { readonly sizeBytes: number; readonly directory: string },
  ): Promise<ThinDevice> {
    const { pool, settings } = this.#options;
    const note = async (deviceId: number): Promise<void> => {
      await writeDevice(directory, { deviceId, sizeBytes });
      await syncDirectory(this.#snapshots.root);
    };
    const retract = async (): Promise<void> => dropDevice(directory);
    const deviceId = await this.#named(origin, parent ?? '', async () =>
      this.#devices.during(origin.deviceId, async (name) => {
        await refuseFullPool(pool, settings.minFreePercent);
        return this.#transactions.make({ note, retract, ask: async (id) => snapshot(pool, id, origin, name) });
      }),
    );
    return { deviceId, sizeBytes };
  }

  async #grow(path: string): Promise<void> {
    const { fileSystems, settings } = this.#options;
    const { fileSystem } = this.#theBase();
    await fileSystems.grow(fileSystem, deviceMount(path, fileSystem, { ...settings, mode: 'rw' }));
  }

  #mountsOf(path: string, kind: SnapshotRecord['kind']): readonly Mount[] {
    const { mountWords } = this.#options.settings;
    return [deviceMount(path, this.#theBase().fileSystem, { mountWords, mode: kind === 'active' ? 'rw' : 'ro' })];
  }

  /** The device that a snapshot is mounted from. */
  async #deviceUnder(key: string, { kind, parent }: SnapshotRecord): Promise<ThinDevice> {
    const owner = kind === 'view' && parent !== null ? parent : key;
    return (await readDevice(this.#snapshots.pathOf(owner))) ?? unknownDevice(owner);
  }

  async #deviceOfParent(parent: string): Promise<ThinDevice> {
    return this.#deviceUnder(parent, await this.#snapshots.parent(parent));
  }

  /** Says whose device it is that the pool does not have. */
  async #named<T>({ deviceId }: ThinDevice, key: string, job: () => Promise<T>): Promise<T> {
    try {
      return await job();
    } catch (error) {
      if (errnoCodeOf(error) !== 'ENODATA') throw error;
      if (key !== '') await this.#snapshots.get(key);
      const text = `devmapper: device ${String(deviceId)} of ${key === '' ? 'the base' : key} is missing in thin pool ${this.#options.pool.name}`;
      throw new DataLossError(text, { cause: error });
    }
  }

  /** Where devices are not to be deleted later, a removal waits for one that is open for a moment, and else fails. */
  async #mustBeIdle(key: string, { deviceId }: ThinDevice): Promise<void> {
    const { settings, clock } = this.#options;
    if (settings.deferredDeletion || (await this.#devices.becomesIdle(deviceId, clock))) return;
    throw new ConflictError(`failed to remove device ${key}: Device is Busy`);
  }

  /** Called when the directory has a name that makes it nobody's. */
  async #discard(directory: string): Promise<void> {
    const device = await readDevice(directory).catch((error: unknown) => {
      this.#options.logger.warn('thin device cannot be deleted: its id is lost', {
        directory,
        error: messageOf(error),
      });
      return damagedIsNull(error);
    });
    if (device === null) return;
    // A power cut must not bring the snapshot back without its device.
    await syncDirectory(this.#snapshots.root);
    const isGone = await this.#tryDelete(device.deviceId).catch(async (error: unknown) => {
      await this.#doomed.add(device.deviceId);
      throw error;
    });
    if (!isGone) await this.#doomed.add(device.deviceId);
  }

  /** False while it is open. */
  async #tryDelete(deviceId: number): Promise<boolean> {
    const { pool, settings } = this.#options;
    return this.#devices.without(deviceId, { deferred: settings.deferredRemoval }, async () => {
      await pool.delete(deviceId);
      this.#transactions.forget(deviceId);
    });
  }

  /** Ids of all devices that are somebody's, also of what is being made or removed. */
  async #owned(): Promise<ReadonlySet<number>> {
    const ids = new Set(this.#doomed.ids);
    if (this.#base !== null) ids.add(this.#base.deviceId);
    for (const { name } of (await readdir(this.#snapshots.root, { withFileTypes: true })).filter((entry) =>
      entry.isDirectory(),
    )) {
      const device = await readDevice(join(this.#snapshots.root, name)).catch(damagedIsNull);
      if (device !== null) ids.add(device.deviceId);
    }
    return ids;
  }

  #theBase(): BaseDevice {
    if (this.#base === null) throw new DataLossError('devmapper: there is no base device');
    return this.#base;
  }
}

/** A device that goes by itself may do so after it was looked at. */
async function snapshot(pool: ThinPool, deviceId: number, origin: ThinDevice, name: string | null): Promise<void> {
  try {
    await pool.snapshot(deviceId, origin.deviceId, name);
  } catch (error) {
    if (name === null || errnoCodeOf(error) !== 'ENXIO') throw error;
    await pool.snapshot(deviceId, origin.deviceId, null);
  }
}

function unknownDevice(key: string): never {
  throw new DataLossError(`devmapper: snapshot ${key} does not know its device`);
}

function damagedIsNull(error: unknown): null {
  if (error instanceof DataLossError) return null;
  throw error;
}
