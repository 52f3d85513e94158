/**
 * Finds or sets up the thin pool that the options name:
 *
 * ```
 * dm.thinpooldev                          somebody else's pool, taken as it is
 * dm.directlvm_device                     a pool of LVM's, `docker-thinpool`, set up on the device at first
 * dm.datadev, dm.metadatadev              a pool of ours on these devices
 * neither                                 a pool of ours on loop devices: <root>/devicemapper/{data,metadata}, sparse files
 * ```
 *
 * A pool of ours is named after the driver's directory, as dockerd's: `docker-<major>:<minor>-<inode>-pool`. It answers
 * with an error when it is full: what waits for room, waits for ever in a container's system calls. It stays for as long as
 * anything in it is active, also without a daemon; after a start of the machine it is set up anew.
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UnavailableError } from '../../../../base/errors.ts';
import type { BlockCalls } from '../../../kernel/block.ts';
import type { BlockDeviceNumber } from '../../../kernel/device-mapper.ts';
import { KernelError } from '../../../kernel/kernel.ts';
import type { ThinPool } from '../thin-pool.ts';
import { activateDirectLvm, setUpDirectLvm } from './direct-lvm.ts';
import { KernelThinPool } from './kernel-thin-pool.ts';
import { openOwnPool } from './own-pool.ts';
import type { PoolGround } from './pool-ground.ts';
import type { PoolPlaces } from './pool-places.ts';
import { systemPrograms } from './programs.ts';

/** A pool that is there. */
export interface OpenPool {
  readonly pool: ThinPool;
  /** What names of devices begin with. */
  readonly prefix: string;
  /** False for a pool that was given to us: then it must be empty at first. */
  readonly isOurs: boolean;
  readonly places: PoolPlaces;
  /** What the operator should be told; null when nothing. */
  readonly warning: string | null;
  /** Has a pool of ours go when nothing is active in it. Idempotent. */
  close(): Promise<void>;
}

const LOOP_WARNING =
  'Usage of loopback devices is strongly discouraged for production use. Please use `--storage-opt dm.thinpooldev` or ' +
  'use `man dockerd` to refer to dm.thinpooldev section.';
const NO_PLACES: PoolPlaces = { data: null, dataFile: null, metadata: null, metadataFile: null };

/** InvalidArgumentError or UnavailableError in words that say what is in the way. */
export async function openPool(ground: PoolGround): Promise<OpenPool> {
  const { root, options, logger } = ground;
  await mkdir(root, { recursive: true, mode: 0o700 });
  const prefix = await prefixOf(ground.block, root);
  if (options.directLvm !== null) {
    const recordPath = join(root, 'setup-config.json');
    const programs = ground.programs ?? systemPrograms(ground.processes);
    const name = await setUpDirectLvm(options.directLvm, { ...ground, programs, recordPath });
    if ((await ground.mapper.find(name)) === null) await activateDirectLvm({ programs });
    return given(name, prefix, ground);
  }
  if (options.thinPoolDevice !== null) return given(options.thinPoolDevice, prefix, ground);
  const places = await openOwnPool(`${prefix}pool`, ground);
  const isOnFiles = places.dataFile !== null || places.metadataFile !== null;
  if (isOnFiles) logger.warn(LOOP_WARNING);
  const discards = options.discards ?? options.dataDevice === null;
  const pool = await takeOver(`${prefix}pool`, prefix, discards, ground);
  return {
    pool,
    prefix,
    isOurs: true,
    places,
    warning: isOnFiles ? LOOP_WARNING : null,
    close: async () => removeUnused(pool, ground),
  };
}

async function given(name: string, prefix: string, ground: PoolGround): Promise<OpenPool> {
  const pool = await takeOver(name, prefix, ground.options.discards ?? false, ground);
  return { pool, prefix, isOurs: false, places: NO_PLACES, warning: null, close: async () => {} };
}

async function takeOver(name: string, prefix: string, discards: boolean, ground: PoolGround): Promise<KernelThinPool> {
  try {
    const { mapper, block } = ground;
    return await KernelThinPool.open({ name, prefix, discards, mapper, block });
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.code === 'ENXIO') {
      throw new UnavailableError(`devmapper: thin pool ${name} does not exist`, { cause: error });
    }
    if (error.code === 'EINVAL') throw new UnavailableError(`devmapper: Device ${name} is not a thin pool`);
    throw error;
  }
}

async function removeUnused(pool: ThinPool, { mapper }: PoolGround): Promise<void> {
  try {
    await mapper.remove(pool.name, { deferred: false });
  } catch (error) {
    if (!(error instanceof KernelError) || !['EBUSY', 'ENXIO'].includes(error.code)) throw error;
  }
}

async function prefixOf(block: BlockCalls, root: string): Promise<string> {
  const { dev, ino } = await stat(root, { bigint: true });
  return `docker-${text(block.split(dev))}-${String(ino)}-`;
}

function text({ major, minor }: BlockDeviceNumber): string {
  return `${String(major)}:${String(minor)}`;
}
