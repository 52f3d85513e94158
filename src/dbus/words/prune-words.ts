/** What is to be pruned, as it comes over the bus. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { PRUNE_NOTHING, type CacheRules, type PruneRequest, type PruneType } from '../../engine/index.ts';
import { decodeDictionary, integerOf, type Dictionary, type Given } from '../bus/dictionary.ts';

const TYPES: readonly PruneType[] = ['container', 'image', 'network', 'volume', 'build-cache'];

/** Filters of `PreviewPrune`, `Prune` and of schedules. */
export const PRUNE_FILTER_KEYS = {
  Until: 's',
  Labels: 'as',
  WithoutLabels: 'as',
  Dangling: 'b',
  /** Volumes with a name, too; of the build cache, also what later builds are likely to want. */
  All: 'b',
  KeepLabels: 'as',
  KeepNewestTags: 'u',
  /** Bytes of the build cache that may stay. */
  KeepStorage: 't',
} as const;

/** What they mean. InvalidArgumentError names what is not known. */
export function pruneRequestOf(types: readonly string[], filters: Dictionary): PruneRequest {
  const given = decodeDictionary(PRUNE_FILTER_KEYS, filters);
  return {
    types: types.map((type) => {
      const known = TYPES.find((each) => each === type);
      if (known === undefined) throw new InvalidArgumentError(`unknown object type: ${type}`);
      return known;
    }),
    until: given.Until ?? null,
    labels: given.Labels ?? [],
    withoutLabels: given.WithoutLabels ?? [],
    danglingOnly: given.Dangling ?? PRUNE_NOTHING.danglingOnly,
    namedVolumes: given.All ?? PRUNE_NOTHING.namedVolumes,
    ...(types.includes('build-cache') ? { buildCache: cacheRulesOf(given) } : {}),
    keep: { labels: given.KeepLabels ?? [], newestTags: given.KeepNewestTags ?? null },
  };
}

function cacheRulesOf({ All: all = false, KeepStorage: keep }: Given<typeof PRUNE_FILTER_KEYS>): CacheRules {
  const keepBytes = keep === undefined ? null : integerOf('KeepStorage', keep);
  return { all, keepBytes, maxUsedBytes: null, minFreeBytes: null, filters: {} };
}
