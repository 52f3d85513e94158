/**
 * What the kernel's `thin-pool` and `thin` targets say (Documentation/admin-guide/device-mapper/thin-provisioning.rst):
 *
 * ```
 * table   <metadata device> <data device> <sectors a block> <low water mark> <number of features> [<feature>…]
 * status  <transaction id> <used>/<all metadata blocks> <used>/<all data blocks> <held root> <mode>
 *         <discards> <error|queue>_if_no_space <needs_check|-> …        or one word, when all is lost: Fail, Error
 * thin    table: <pool device> <device id>      status: <mapped sectors> <highest mapped sector>
 * ```
 */
import { InternalError } from '../../../../base/errors.ts';
import type { ThinPoolStatus } from '../thin-pool.ts';

export const SECTOR_BYTES = 512;
/** The kernel's, for metadata. */
export const METADATA_BLOCK_BYTES = 4096;

/** A pool's table. */
export interface PoolTable {
  /** `major:minor` */
  readonly metadata: string;
  readonly data: string;
  readonly blockSectors: number;
}

const FULL: Readonly<Record<string, ThinPoolStatus['mode']>> = {
  rw: 'rw',
  ro: 'ro',
  out_of_data_space: 'out-of-data-space',
};
const NOTHING = { usedBytes: 0, totalBytes: 0 };

export function parsePoolStatus(words: string, blockSectors: number): ThinPoolStatus {
  const blockSizeBytes = blockSectors * SECTOR_BYTES;
  const [transaction = '', metadata = '', data = '', , mode = '', , , check = ''] = words.split(' ');
  if (transaction === 'Fail' || transaction === 'Error') {
    return { transactionId: 0n, data: NOTHING, metadata: NOTHING, blockSizeBytes, mode: 'failed', needsCheck: true };
  }
  if (!/^\d+$/.test(transaction)) throw new InternalError(`devmapper: unknown status of a thin pool: ${words}`);
  return {
    transactionId: BigInt(transaction),
    data: parseSpace(data, blockSizeBytes),
    metadata: parseSpace(metadata, METADATA_BLOCK_BYTES),
    blockSizeBytes,
    mode: FULL[mode] ?? 'failed',
    needsCheck: check === 'needs_check',
  };
}

function parseSpace(words: string, blockBytes: number): ThinPoolStatus['data'] {
  const [used = NaN, total = NaN] = words.split('/').map(Number);
  return { usedBytes: used * blockBytes, totalBytes: total * blockBytes };
}

export function parsePoolTable(words: string): PoolTable {
  const [metadata = '', data = '', blockSectors = ''] = words.split(' ');
  return { metadata, data, blockSectors: Number(blockSectors) };
}

/** Up to where a thin device has blocks of its own or shared ones; 0 when it has none. */
export function parseMappedSectors(words: string): number {
  const [, highest = ''] = words.split(' ');
  return /^\d+$/.test(highest) ? Number(highest) + 1 : 0;
}

/** Why nothing more can be written, in words an administrator can act on; null when it can. */
export function poolObstacle(name: string, { mode, needsCheck, metadata }: ThinPoolStatus): string | null {
  const begin = `devmapper: Thin Pool ${name}`;
  const left = metadata.totalBytes - metadata.usedBytes;
  switch (mode) {
    case 'rw':
      return null;
    case 'out-of-data-space':
      return `${begin} is out of data space. Remove containers or images, or make its data device larger`;
    case 'ro':
      if (left < METADATA_BLOCK_BYTES * METADATA_RESERVE_BLOCKS && !needsCheck) {
        return `${begin} is out of metadata space. Make its metadata device larger`;
      }
      return `${begin} is read-only${needsCheck ? ' and needs to be checked: stop all that uses it and run thin_check, or thin_repair, on its metadata device' : ''}`;
    case 'failed':
      return `${begin} has failed: its metadata cannot be written. Look for errors of its disks, then run thin_repair on its metadata device`;
  }
}

/** Kept back by the kernel so that deleting works without any others (4 MiB at most). */
const METADATA_RESERVE_BLOCKS = 1024;
