import type { Clock } from '../../../base/clock.ts';
import { EngineError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import type { BlockCalls } from '../../kernel/block.ts';
import type { DeviceMapperCalls } from '../../kernel/device-mapper.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { DevicemapperDriver } from './driver.ts';
import { LinuxFileSystems } from './file-systems.ts';
import { openPool } from './pool/open-pool.ts';
import { readDeviceMapperOptions, type DeviceMapperOptions } from './pool/options.ts';
import { poolLines } from './pool/pool-lines.ts';
import { PoolWatch } from './pool/pool-watch.ts';
import type { DeviceSettings } from './settings.ts';

/** What {@link openDevicemapperDriver} works with. */
export interface DriverGround {
  /** Directory of the driver alone, such as `<data root>/devicemapper`. */
  readonly root: string;
  /** `--storage-opt` words. */
  readonly storageOptions: readonly string[];
  readonly mapper: DeviceMapperCalls;
  readonly block: BlockCalls;
  readonly kernel: Pick<Kernel, 'mounts' | 'processes'>;
  /** Where trees are mounted for a moment. */
  readonly mountRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where the pool's own files lie (pool/open-pool.ts). */
const RESERVED = ['devicemapper'];
/** xfs gives up at once what a full pool refuses: it else tries for ever, and who waits for it cannot be killed. */
const XFS_RETRIES = '0';

/** Finds or sets up the pool that the options name, and opens the driver on it. Errors as those two have them. */
export async function openDevicemapperDriver(ground: DriverGround): Promise<DevicemapperDriver> {
  const { root, mapper, kernel, mountRoot, clock, logger } = ground;
  const options = readDeviceMapperOptions(ground.storageOptions);
  const opened = await openPool({ ...ground, options, processes: kernel.processes });
  const { pool, prefix } = opened;
  const xfsRetries = options.xfsNospaceRetries ?? XFS_RETRIES;
  const watch = new PoolWatch({ pool, prefix, xfsRetries, mapper, clock, logger });
  const close = async (): Promise<void> => {
    await watch[Symbol.asyncDispose]();
    await opened.close();
  };
  try {
    return await DevicemapperDriver.open({
      root,
      pool,
      prefix,
      settings: settingsOf(options),
      fileSystems: new LinuxFileSystems({ ...kernel, mountRoot }),
      mounts: kernel.mounts,
      mountRoot,
      clock,
      logger,
      reserved: RESERVED,
      close,
      describePool: async ({ base, doomedCount }) =>
        poolLines(opened, {
          baseSizeBytes: base.sizeBytes,
          filesystem: base.fileSystem,
          deferredDeletions: doomedCount,
          options,
          mapperVersion: mapper.version,
        }),
    });
  } catch (error) {
    await close().catch((failure: unknown) => {
      if (error instanceof EngineError) error.cleanupFailures.push(failure);
    });
    throw error;
  }
}

function settingsOf(options: DeviceMapperOptions): DeviceSettings {
  return {
    baseSizeBytes: options.isBaseSizeAsked ? options.baseBytes : null,
    fileSystem: options.filesystem,
    mkfsWords: options.mkfsWords,
    mountWords: options.mountOptions,
    minFreePercent: options.minFreePercent,
    deferredRemoval: options.deferredRemoval,
    deferredDeletion: options.deferredDeletion,
  };
}
