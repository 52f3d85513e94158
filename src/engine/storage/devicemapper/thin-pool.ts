/**
 * A thin pool of the kernel's device mapper: block devices that share a data device, by snapshots.
 *
 * Vocabulary: a *thin device* is named by a 24-bit number inside the pool and exists in the pool's metadata; it is
 * *active* while the kernel has a block device for it, which has a name of the device mapper's. The *transaction id* is a
 * number in the pool's metadata that only its user changes.
 *
 * Story, a container: `snapshot(17, 4)`; `activate(17, 'docker-…')` gives `/dev/dm-5`, which is mounted and later
 * unmounted; `deactivate('docker-…')`; `delete(17)`.
 *
 * Errors are UnavailableError where the pool is full or out of order, KernelError for the rest.
 */

/** State of the pool; sizes in bytes. */
export interface ThinPoolStatus {
  readonly transactionId: bigint;
  readonly data: { readonly usedBytes: number; readonly totalBytes: number };
  readonly metadata: { readonly usedBytes: number; readonly totalBytes: number };
  readonly blockSizeBytes: number;
  /** `rw`: in order; else nothing can be written any more. */
  readonly mode: 'rw' | 'ro' | 'out-of-data-space' | 'failed';
  readonly needsCheck: boolean;
}

export interface ThinPool {
  /** The device mapper's name for the pool. */
  readonly name: string;
  status(): Promise<ThinPoolStatus>;
  /** Makes an empty thin device. KernelError EEXIST. */
  create(deviceId: number): Promise<void>;
  /**
   * Makes one with the content that `originId` has now; `originName` is the name under which that is active, null when it
   * is not: an active one is suspended meanwhile. KernelError EEXIST, ENODATA for the origin.
   */
  snapshot(deviceId: number, originId: number, originName: string | null): Promise<void>;
  /** Takes it out of the pool; EBUSY while it is active. Idempotent. */
  delete(deviceId: number): Promise<void>;
  /** Has the kernel make a block device of `sizeBytes`; its path. What is active under this name already, stays, no longer to go. */
  activate(deviceId: number, name: string, sizeBytes: number): Promise<string>;
  /** Makes the device go; `deferred`: now or, while it is open, when it no longer is. EBUSY without. Idempotent. */
  deactivate(name: string, options: { readonly deferred: boolean }): Promise<void>;
  /** How often an active device is opened (a mount is one); null when it is not active. */
  openCount(name: string): Promise<number | null>;
  /** Names of active devices of this pool that begin with `prefix`. */
  active(prefix: string): Promise<readonly string[]>;
  /** Changes the transaction id; EINVAL when it is not `from`. */
  setTransactionId(from: bigint, to: bigint): Promise<void>;
}
