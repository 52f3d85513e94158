/** What is to be pruned, as it comes over the bus. */
import { InvalidArgumentError } from '../base/errors.ts';
import { PRUNE_NOTHING, type PruneRequest, type PruneType } from '../engine/index.ts';
import { decodeDictionary, type Dictionary } from './dictionary.ts';

const TYPES: readonly PruneType[] = ['container', 'image', 'network', 'volume', 'build-cache'];

/** Filters of `PreviewPrune`, `Prune` and of schedules. */
export const PRUNE_FILTER_KEYS = {
  Until: 's',
  Labels: 'as',
  WithoutLabels: 'as',
  Dangling: 'b',
  /** Volumes with a name, too. */
  All: 'b',
  KeepLabels: 'as',
  KeepNewestTags: 'u',
  /** Of the build cache, which this version does not have. */
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
    keep: { labels: given.KeepLabels ?? [], newestTags: given.KeepNewestTags ?? null },
  };
}
