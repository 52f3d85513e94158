import { UnavailableError } from '../../../base/errors.ts';
import type { ThinPool, ThinPoolStatus } from './thin-pool.ts';
import { poolObstacle } from './pool/pool-words.ts';

const METADATA_BLOCK_BYTES = 4096;

/** Nothing new is begun in a pool that is out of order, or has less room than `minFreePercent`. UnavailableError. */
export async function refuseFullPool(pool: ThinPool, minFreePercent: number): Promise<void> {
  const status = await pool.status();
  const obstacle = poolObstacle(pool.name, status);
  if (obstacle !== null) throw new UnavailableError(obstacle);
  if (minFreePercent === 0) return;
  refuseLess(status.data, { unitBytes: status.blockSizeBytes, kind: 'data', minFreePercent });
  refuseLess(status.metadata, { unitBytes: METADATA_BLOCK_BYTES, kind: 'metadata', minFreePercent });
}

function refuseLess(
  { usedBytes, totalBytes }: ThinPoolStatus['data'],
  {
    unitBytes,
    kind,
    minFreePercent,
  }: { readonly unitBytes: number; readonly kind: string; readonly minFreePercent: number },
): void {
  const total = Math.floor(totalBytes / unitBytes);
  const free = total - Math.ceil(usedBytes / unitBytes);
  const least = Math.max(1, Math.floor((total * minFreePercent) / 100));
  if (free >= least) return;
  const space = kind === 'data' ? '' : ' metadata';
  throw new UnavailableError(
    `devmapper: Thin Pool has ${String(free)} free ${kind} blocks which is less than minimum required ${String(least)} free ${kind} blocks. ` +
      `Create more free${space} space in thin pool or use dm.min_free_space option to change behavior`,
  );
}
