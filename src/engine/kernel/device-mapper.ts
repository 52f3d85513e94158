/**
 * The kernel's device mapper: block devices that are put together of others by tables.
 *
 * Vocabulary: a *device* has a name of the device mapper's own and, once it has had a table, a node `/dev/dm-N`. A *table*
 * is a list of *targets* (`thin-pool`, `thin`), each for a range of sectors of 512 bytes. A device is *live* when it has a
 * table in force, *suspended* while its requests wait, *deferred* when it goes by itself as soon as nobody has it open.
 *
 * Story: `create('docker-pool', [{ type: 'thin-pool', … }])`; `message('docker-pool', 'create_thin 1')`;
 * `create('docker-1', [{ type: 'thin', … }])` gives the node that is mounted; later `remove('docker-1', { deferred: true })`.
 *
 * Every call that can wait for a disk runs on a thread of the pool. udev is told with each change to make the name's link
 * in /dev/mapper and nothing else: no rule opens the device. Nobody waits for udev.
 *
 * Each failing call throws KernelError: ENXIO for a name that is not there, EBUSY for what is open or already has the name.
 */

/** Numbers of a block device. */
export interface BlockDeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** One line of a table, or of the state of a device: `parameters` are the target's own words. */
export interface DeviceTarget {
  readonly startSector: number;
  readonly sectors: number;
  /** `thin-pool`, `thin` … */
  readonly type: string;
  readonly parameters: string;
}

/** State of a device. */
export interface MappedDevice {
  readonly name: string;
  readonly number: BlockDeviceNumber;
  /** How many have it open: mounts, programs, and devices above it. */
  readonly openCount: number;
  readonly isLive: boolean;
  readonly isSuspended: boolean;
  readonly isDeferred: boolean;
}

/** What {@link DeviceMapperCalls.targets} is asked. */
export interface TargetsQuestion {
  /** The table in force, or how its targets are. */
  readonly what: 'table' | 'status';
  /** False: as the kernel has it in memory; a thin pool else writes its metadata out first. */
  readonly settled: boolean;
}

export interface DeviceMapperCalls {
  /** Of the kernel's driver, such as `4.47.0`. */
  readonly version: string;
  /** All devices that there are. */
  list(): Promise<readonly string[]>;
  /** Null when there is none of that name. */
  find(name: string): Promise<MappedDevice | null>;
  /** The targets of a device, with its state. ENXIO. */
  targets(
    name: string,
    question: TargetsQuestion,
  ): Promise<MappedDevice & { readonly targets: readonly DeviceTarget[] }>;
  /** Makes a device and gives the path of its node. EBUSY when the name is taken; leaves nothing on failure. */
  create(name: string, table: readonly DeviceTarget[]): Promise<string>;
  /** Puts another table in force: what is on its way to the disk arrives first. The old one stays on failure. */
  replace(name: string, table: readonly DeviceTarget[]): Promise<void>;
  /** Lets what is on its way arrive, has a file system above settle, and holds all further requests. Idempotent. */
  suspend(name: string): Promise<void>;
  /** Idempotent. */
  resume(name: string): Promise<void>;
  /**
   * Sends words to the first target, or to the device itself when they begin with `@`; the answer, where there is one.
   */
  message(name: string, words: string): Promise<string>;
  /** EBUSY while it is open, unless `deferred`. ENXIO. */
  remove(name: string, options: { readonly deferred: boolean }): Promise<void>;
  /**
   * Calls `listener` after a device told something (a pool that fills) and after devices came or went, with all that
   * happened at once told once. Does not keep the process alive. Dispose to stop; nothing is told by drivers before 4.37.
   */
  watch(listener: () => void): Disposable;
}
