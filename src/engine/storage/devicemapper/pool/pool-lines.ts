/** What `docker info` says of a pool, line by line as dockerd does. */
import { statfs } from 'node:fs/promises';
import { humanSize } from '../../../../base/byte-size.ts';
import type { StorageStatus } from '../../driver.ts';
import type { ThinPoolStatus } from '../thin-pool.ts';
import type { OpenPool } from './open-pool.ts';
import type { DeviceMapperOptions } from './options.ts';

/** What the driver knows and the pool does not. */
export interface DriverFacts {
  readonly baseSizeBytes: number;
  readonly filesystem: string;
  /** Devices that are to be deleted when nobody has them open any more. */
  readonly deferredDeletions: number;
  readonly options: Pick<DeviceMapperOptions, 'minFreePercent' | 'deferredRemoval' | 'deferredDeletion'>;
  /** Of the kernel's device mapper; there is no library. */
  readonly mapperVersion: string;
}

export async function poolLines(
  { pool, places }: Pick<OpenPool, 'pool' | 'places'>,
  facts: DriverFacts,
): Promise<StorageStatus> {
  const status = await pool.status();
  const { data, metadata, blockSizeBytes } = status;
  const { minFreePercent, deferredRemoval, deferredDeletion } = facts.options;
  return [
    ['Pool Name', pool.name],
    ['Pool Blocksize', humanSize(blockSizeBytes)],
    ['Base Device Size', humanSize(facts.baseSizeBytes)],
    ['Backing Filesystem', facts.filesystem],
    // What it is asked for: whether links of devices come and go in step. Ours are used by their nodes, which the kernel makes.
    ['Udev Sync Supported', 'true'],
    ...named('Data file', places.data),
    ...named('Metadata file', places.metadata),
    ...named('Data loop file', places.dataFile),
    ...named('Metadata loop file', places.metadataFile),
    ['Data Space Used', humanSize(data.usedBytes)],
    ['Data Space Total', humanSize(data.totalBytes)],
    ['Data Space Available', humanSize(await available(data, places.dataFile))],
    ['Metadata Space Used', humanSize(metadata.usedBytes)],
    ['Metadata Space Total', humanSize(metadata.totalBytes)],
    ['Metadata Space Available', humanSize(await available(metadata, places.metadataFile))],
    ['Thin Pool Minimum Free Space', humanSize(minimumFree(status, minFreePercent))],
    ['Deferred Removal Enabled', String(deferredRemoval)],
    ['Deferred Deletion Enabled', String(deferredDeletion)],
    ['Deferred Deleted Device Count', String(facts.deferredDeletions)],
    ['Library Version', `${facts.mapperVersion} (kernel)`],
  ];
}

function named(label: string, path: string | null): StorageStatus {
  return path === null ? [] : [[label, path]];
}

/** A sparse file has no more room than the file system it lies on. */
async function available({ usedBytes, totalBytes }: ThinPoolStatus['data'], file: string | null): Promise<number> {
  const left = totalBytes - usedBytes;
  if (file === null) return left;
  const { bfree, bsize } = await statfs(file);
  return Math.min(left, bfree * bsize);
}

/** In whole blocks. */
function minimumFree({ data, blockSizeBytes }: ThinPoolStatus, percent: number): number {
  if (blockSizeBytes === 0) return 0;
  return Math.floor(((data.totalBytes / blockSizeBytes) * percent) / 100) * blockSizeBytes;
}
