/**
 * The device that all others begin as: an empty file system, made once a pool.
 *
 * ```
 * <root>/.pool/base.json    BaseRecord
 * ```
 */
import { rm } from 'node:fs/promises';
import { humanSize } from '../../../base/byte-size.ts';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import type { ActiveDevices } from './active-devices.ts';
import { readJson, writeDurably } from './durable-file.ts';
import type { DeviceFileSystem, FileSystemTools } from './file-systems.ts';
import type { PoolTransactions } from './pool-transactions.ts';
import { deviceMount, type DeviceSettings } from './settings.ts';
import type { ThinDevice } from './thin-device.ts';
import type { ThinPool } from './thin-pool.ts';

/** The base as it is known. */
export interface BaseDevice extends ThinDevice {
  readonly fileSystem: DeviceFileSystem;
}

interface BaseRecord extends BaseDevice {
  /** Null until its file system is complete. */
  readonly uuid: string | null;
  /** A size that it is being grown to: its file system has the one size or the other. */
  readonly growingTo?: number;
}

/** What it is made with. */
export interface BaseDeviceOptions {
  readonly path: string;
  readonly pool: ThinPool;
  readonly transactions: PoolTransactions;
  readonly devices: ActiveDevices;
  readonly fileSystems: FileSystemTools;
  readonly settings: DeviceSettings;
  readonly logger: Logger;
}

/** Key of its holds; no snapshot's. */
const BASE_KEY = '';
const DEFAULT_SIZE_BYTES = 10 * 1024 ** 3;

/**
 * The base of this pool: made where there is none, checked and perhaps grown where there is. UnavailableError for a pool
 * that is not the one it was made in; InvalidArgumentError for a smaller size.
 */
export async function openBaseDevice(options: BaseDeviceOptions): Promise<BaseDevice> {
  const known = (await readJson(options.path)) as BaseRecord | null;
  if (known?.uuid === undefined || known.uuid === null) return makeBase(options, known);
  await verify(options, known);
  return grown(options, known);
}

/** A pool without a base of ours must be empty: dockerd takes none over that holds anything. UnavailableError. */
export async function refuseUsedPool({ path, pool }: Pick<BaseDeviceOptions, 'path' | 'pool'>): Promise<void> {
  if ((await readJson(path)) !== null) return;
  const { data, transactionId } = await pool.status();
  const refusal = `devmapper: Unable to take ownership of thin-pool (${pool.name})`;
  if (data.usedBytes !== 0) throw new UnavailableError(`${refusal} that already has used data blocks`);
  if (transactionId !== 0n) throw new UnavailableError(`${refusal} with non-zero transaction ID`);
}

async function makeBase(options: BaseDeviceOptions, halfMade: BaseRecord | null): Promise<BaseDevice> {
  const { path, pool, transactions, devices, fileSystems, settings, logger } = options;
  if (halfMade !== null) {
    await devices.without(halfMade.deviceId, { deferred: false }, async () => pool.delete(halfMade.deviceId));
  }
  const fileSystem = settings.fileSystem ?? (await fileSystems.preferred());
  const sizeBytes = settings.baseSizeBytes ?? DEFAULT_SIZE_BYTES;
  const record = (deviceId: number): BaseRecord => ({ deviceId, sizeBytes, fileSystem, uuid: null });
  const deviceId = await transactions.make({
    note: async (id) => writeDurably(path, record(id)),
    retract: async () => rm(path, { force: true }),
    ask: async (id) => pool.create(id),
  });
  const base = record(deviceId);
  await held(options, base, async (device) => {
    logger.info('file system of the base device is made', { fileSystem, device, words: settings.mkfsWords });
    await fileSystems.make(fileSystem, device, settings.mkfsWords);
    await fileSystems.clear(deviceMount(device, fileSystem, { ...settings, mode: 'rw' }));
    const found = await fileSystems.identify(device);
    if (found === null)
      throw new UnavailableError(`devmapper: Could not query and save base device UUID: none on ${device}`);
    await writeDurably(path, { ...base, uuid: found.uuid });
  });
  return base;
}

/** A pool that was swapped for another has another file system there, or none. */
async function verify(options: BaseDeviceOptions, base: BaseRecord): Promise<void> {
  const { fileSystems, pool, settings, logger } = options;
  const refusal = 'devmapper: Base Device UUID and Filesystem verification failed: devmapper:';
  const found = await held(options, base, async (device) => fileSystems.identify(device)).catch((error: unknown) => {
    if (errnoCodeOf(error) !== 'ENODATA') throw error;
    throw new UnavailableError(
      `${refusal} thin pool ${pool.name} has no device ${String(base.deviceId)}. Possibly using a different thin pool than last invocation`,
    );
  });
  if (found?.uuid !== base.uuid) {
    throw new UnavailableError(
      `${refusal} Current Base Device UUID:${found?.uuid ?? ''} does not match with stored UUID:${base.uuid ?? ''}. ` +
        'Possibly using a different thin pool than last invocation',
    );
  }
  if (settings.fileSystem === null || settings.fileSystem === base.fileSystem) return;
  logger.warn(
    `Base device already exists and has filesystem ${base.fileSystem} on it. User specified filesystem ${settings.fileSystem} will be ignored.`,
  );
}

/** Images that are there already stay as large as they are. */
async function grown(options: BaseDeviceOptions, base: BaseRecord): Promise<BaseDevice> {
  const { path, fileSystems, settings } = options;
  const { growingTo, ...known } = base;
  const least = growingTo ?? known.sizeBytes;
  const wanted = settings.baseSizeBytes ?? least;
  if (wanted < least) {
    throw new InvalidArgumentError(`devmapper: Base device size cannot be smaller than ${humanSize(least)}`);
  }
  if (wanted === known.sizeBytes) return known;
  await writeDurably(path, { ...known, growingTo: wanted });
  const larger = { ...known, sizeBytes: wanted };
  await held(options, larger, async (device) =>
    fileSystems.grow(known.fileSystem, deviceMount(device, known.fileSystem, { ...settings, mode: 'rw' })),
  );
  await writeDurably(path, larger);
  return larger;
}

async function held<T>(
  { devices }: BaseDeviceOptions,
  base: BaseRecord,
  job: (device: string) => Promise<T>,
): Promise<T> {
  const device = await devices.hold(BASE_KEY, base);
  try {
    return await job(device);
  } finally {
    await devices.release(BASE_KEY, base.deviceId);
  }
}
