import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { StorageStatus } from '../driver.ts';
import type { BaseDevice } from './base-device.ts';
import type { FileSystemTools } from './file-systems.ts';
import type { DeviceSettings } from './settings.ts';
import type { ThinPool } from './thin-pool.ts';
import type { MountedTreesOptions } from '../mounted-trees.ts';

/** Options of DevicemapperDriver.open. */
export interface DevicemapperOptions {
  /** Directory of the driver alone, such as `<data root>/devicemapper`. */
  readonly root: string;
  readonly pool: ThinPool;
  /** What the names of its block devices begin with. */
  readonly prefix: string;
  readonly settings: DeviceSettings;
  readonly fileSystems: FileSystemTools;
  readonly mounts: MountedTreesOptions['mounts'];
  /** Where trees are mounted to be measured. */
  readonly mountRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Names below the root that are the pool's. */
  readonly reserved?: readonly string[];
  /** What `docker info` says of the pool; without, nothing is said. */
  readonly describePool?: (facts: DeviceFacts) => Promise<StorageStatus>;
  /** Ends the pool, when the driver is closed. */
  readonly close?: () => Promise<void>;
  /** For tests: the ids that there are. */
  readonly highestDeviceId?: number;
}

/** What the driver knows for {@link DevicemapperOptions.describePool}. */
export interface DeviceFacts {
  readonly base: BaseDevice;
  readonly settings: DeviceSettings;
  /** Devices that are to be deleted when nobody has them open any more. */
  readonly doomedCount: number;
}
