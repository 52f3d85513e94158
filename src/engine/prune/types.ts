/**
 * Taking away what nobody uses. `preview` and `run` look at the same things with the same eyes: what a preview shows is
 * what a run right after it takes, unless something changed hands in between.
 *
 *   victim   one container, network, image or volume that the request selects and nobody uses.
 *   keep     rules that save a thing that the filters select, for runs that nobody watches (schedules).
 *
 * Story: `docker image prune -a --filter until=24h`: the images that no container uses and that are older than a day are
 * victims; each is removed through its own room's `remove`, which refuses what came into use meanwhile.
 */
import type { ImageRemoval } from '../images/types.ts';

export type PruneType = 'container' | 'image' | 'network' | 'volume' | 'build-cache';

/** What to take. Plain data: schedules store it. All conditions must hold. */
export interface PruneRequest {
  readonly types: readonly PruneType[];
  /** Only what was created before: a time, seconds since 1970, or an age (`24h`, `1h30m`); null for any. */
  readonly until: string | null;
  /** Only images that nobody has put to use for so long (`720h`), or since a time; null or absent for any. */
  readonly unusedFor?: string | null;
  /** Images in which order; absent for that of a list (newest first). */
  readonly order?: 'least-recently-used-first';
  /** `key` or `key=value`; all of them. */
  readonly labels: readonly string[];
  /** None of them. */
  readonly withoutLabels: readonly string[];
  /** Only images without a tag. */
  readonly danglingOnly: boolean;
  /** Volumes with a name too, and not only those that the engine made for one container. */
  readonly namedVolumes: boolean;
  /** What of the build cache; absent: what nothing stands on. */
  readonly buildCache?: CacheRules;
  readonly keep: {
    /** Whatever has one of them stays. */
    readonly labels: readonly string[];
    /** In each repository the newest so many tags stay with their images; null for no such rule. */
    readonly newestTags: number | null;
    /** Names of containers, networks, volumes, images (with their tag or without); `*` and `?` stand for any text, any character. */
    readonly names?: readonly string[];
  };
}

/** Of the build cache alone, beside `until` (not used since then). Entries have no labels: a rule for labels spares all. */
export interface CacheRules {
  /** Also what images share, and what later builds are likely to want. */
  readonly all: boolean;
  /** Least recently used first, until no more bytes than these are left; null: no such rule. */
  readonly keepBytes: number | null;
  readonly maxUsedBytes: number | null;
  readonly minFreeBytes: number | null;
  /** As in the builds room's request. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
}

/** Docker's defaults, with nothing selected yet. */
export const PRUNE_NOTHING: PruneRequest = {
  types: [],
  until: null,
  labels: [],
  withoutLabels: [],
  danglingOnly: true,
  namedVolumes: false,
  keep: { labels: [], newestTags: null },
};

/** Something that would go, or went. */
export interface PruneVictim {
  readonly type: PruneType;
  /** Container, network, image or cache entry's id, or the volume's name. */
  readonly id: string;
  /** What people call it: the container's name, the image's first tag, the network's or volume's name, what made the entry; '' when it has none. */
  readonly name: string;
  /** What comes free with it. Layers that several victims share count for the first. */
  readonly bytes: number;
}

export interface PrunePreview {
  readonly victims: readonly PruneVictim[];
  readonly reclaimableBytes: number;
}

export interface PruneResult {
  /** What went, in order. */
  readonly removed: readonly PruneVictim[];
  /** What the removal of images did, in order: names and layers too. */
  readonly imageRemovals: readonly ImageRemoval[];
  readonly reclaimedBytes: number;
}

/** The facade's verbs. InvalidArgumentError for an `until` that is no time, before anything is looked at. */
export interface Prune {
  /** Changes nothing. */
  preview(request: PruneRequest): Promise<PrunePreview>;
  /**
   * Removes the victims one by one: containers, then networks, volumes, images, at last the build cache in one go. What came into use or went by itself in the
   * meantime is passed over. After an abort nothing more is taken and the signal's reason is thrown; `onRemoved` has told
   * what went until then.
   */
  run(request: PruneRequest, signal: AbortSignal, options?: PruneRunOptions): Promise<PruneResult>;
}

export interface PruneRunOptions {
  readonly onRemoved?: (victim: PruneVictim) => void;
  /** Asked before each image: true ends the run early. */
  readonly isEnough?: () => Promise<boolean>;
  /** Whoever asks tells the journal of it in words of its own. */
  readonly isQuiet?: boolean;
}
