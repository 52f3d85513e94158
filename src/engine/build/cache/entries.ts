/** What the cache keeps, as `docker system df` and pruning see it: what steps have made, and cache mounts. */
import type { Timestamp } from '../../../base/clock.ts';
import type { ImageCatalog } from '../../images/catalog.ts';
import type { BuildStepRow, BuildTables } from '../../state/build-steps.ts';
import type { CacheMounts } from '../run/cache-mounts.ts';
import type { BuildCacheEntry } from '../types.ts';
import { stepOf } from './record.ts';
import type { StepCache } from './step-cache.ts';

export interface EntryNeeds {
  readonly tables: BuildTables;
  readonly catalog: ImageCatalog;
  readonly steps: StepCache;
  readonly mounts: Pick<CacheMounts, 'list' | 'remove'>;
}

/**
 * Oldest first. Steps that changed the configuration alone are none: they go with the one below that has a layer.
 */
export async function cacheEntries({
  tables,
  catalog,
  steps,
  mounts,
}: EntryNeeds): Promise<readonly BuildCacheEntry[]> {
  const rows = tables.steps().filter(({ chainId }) => chainId !== null);
  const ofImages = new Set(catalog.all().flatMap(({ document }) => document.layers.map(({ chainId }) => chainId)));
  const known = new Set(rows.map(({ key }) => key));
  const isShared = ({ chainId }: BuildStepRow): boolean => chainId !== null && ofImages.has(chainId);
  const ofSteps = rows.map((row) => entryOf(row, { known, shared: isShared(row), inUse: steps.isInUse(row.key) }));
  const all = [...ofSteps, ...(await mounts.list())];
  return all.sort((a, b) => compareTimes(a.createdAt, b.createdAt));
}

function entryOf(
  row: BuildStepRow,
  { known, shared, inUse }: { readonly known: ReadonlySet<string>; readonly shared: boolean; readonly inUse: boolean },
): BuildCacheEntry {
  const { description, layer } = stepOf(row);
  return {
    id: row.key,
    parents: row.parent !== null && known.has(row.parent) ? [row.parent] : [],
    kind: 'regular',
    description,
    sizeBytes: layer?.sizeBytes ?? 0,
    createdAt: row.createdAt,
    lastUsedAt: row.usedAt,
    uses: row.uses,
    inUse,
    shared,
  };
}

function compareTimes(a: Timestamp, b: Timestamp): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
