import type { StorageDriver } from './driver.ts';

/** Drivers beside the one in use: what containers and layers stood on before the driver was changed. */
export interface OtherStorage {
  /** Opens one, once. ConflictError that says why when it does not work here. */
  open(name: string): Promise<StorageDriver>;
}
