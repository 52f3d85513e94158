/**
 * Block devices and files that are made to look like such (loop devices).
 *
 * Story: `attach('/var/lib/…/data')` gives `/dev/loop3` for as long as the answer is not disposed of or something else
 * has the device open (a device mapper's table, a mount): then the kernel detaches the file by itself, also when we are
 * killed. Each failing call throws KernelError.
 */
import type { BlockDeviceNumber } from './device-mapper.ts';

/** A loop device that is held open. Dispose to let go. */
export interface AttachedLoop extends Disposable {
  readonly path: string;
  readonly number: BlockDeviceNumber;
}

/** How a file is attached. */
export interface AttachOptions {
  /** Past the page cache where the file system below can: else everything is in memory twice. */
  readonly directIo: boolean;
}

export interface BlockCalls {
  /** Numbers of the block device at `path`. ENOTBLK for anything else. */
  numberOf(path: string): BlockDeviceNumber;
  /** Numbers in what stat(2) gives for a device. */
  split(device: bigint): BlockDeviceNumber;
  /** The node of a device: below /dev, made where it is missing. */
  nodeOf(device: BlockDeviceNumber): string;
  /** ENOENT when there is none. */
  sizeBytes(device: BlockDeviceNumber): number;
  /** Tells a device that none of its content is needed any more. EOPNOTSUPP where it does not care. */
  discard(path: string): Promise<void>;
  /** Makes a block device of a file. */
  attach(file: string, options: AttachOptions): Promise<AttachedLoop>;
  /** The file behind a loop device, by the numbers of the inode; null when it is none, or has none. */
  backing(device: BlockDeviceNumber): { readonly device: bigint; readonly inode: bigint } | null;
  /** Has a loop device see that its file has grown. */
  grow(path: string): Promise<void>;
}
