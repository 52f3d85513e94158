import type { Kernel } from '../../../engine/kernel/kernel.ts';
import type { StorageDriver } from '../../../engine/storage/driver.ts';
import type { LayerWorkers } from '../../../engine/storage/layers/workers.ts';
import type { Ground } from '../rooms.ts';

/** What a driver is opened with. */
export interface DriverPlace {
  readonly ground: Pick<Ground, 'logger' | 'clock' | 'execRoot'>;
  readonly kernel: Kernel;
  readonly workers: LayerWorkers;
  /** The driver's own directory, `<data root>/<driver>`. */
  readonly root: string;
  readonly dataRoot: string;
  /** `--storage-opt` words. */
  readonly storageOptions: readonly string[];
}

/** A driver that was looked at: it opens, or something is in its way. */
export type OpenableDriver =
  | { readonly obstacle: null; readonly open: () => Promise<StorageDriver> }
  | { readonly obstacle: string; readonly open: null };

/** Finds out whether a driver works here, leaving nothing behind. */
export type DriverOpener = (place: DriverPlace) => Promise<OpenableDriver>;
