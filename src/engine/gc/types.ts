/**
 * Image collection: a disk that stays bounded without anybody looking. It decides when to prune and with which request;
 * what a request selects, and the removal itself, are the prune room's (there is one selection and no second).
 *
 *   unused    an image that no container has and that nobody has put to use for the given time goes.
 *   space     when the disk of the data root is fuller than the high mark, images go, the least recently used first, until it
 *             is down to the low mark. Neither age nor `keepNewestTags` hold then; of the two the latter gives way last.
 *
 * What holds always: an image that a container uses, running or not, a protected label, and the last ten minutes (what was
 * just brought is not taken away before it could be used).
 *
 * Story: `DOCKER_IMAGE_GC=yes`. At night what has not been used for thirty days goes. At noon a pull fills the disk beyond
 * 85 %: right after it the least recently used images go until 80 % are left. Each is in the journal with its reason.
 */
import type { Timestamp } from '../../base/clock.ts';
import type { PruneVictim } from '../prune/types.ts';

/** The configuration's part of it. */
export interface ImageGcRules {
  /** Without it nothing happens by itself; asked for, a collection is done all the same. */
  readonly isOn: boolean;
  /** By itself only tells what would go. */
  readonly isDryRun: boolean;
  /** An age such as `720h`; null: however long unused, an image stays. */
  readonly unusedFor: string | null;
  /** In each repository the newest so many tags stay with their images. */
  readonly keepNewestTags: number;
  /** `key` or `key=value`: what has one of them stays. */
  readonly keepLabels: readonly string[];
  /** Percent of the disk in use; null: the disk may fill. */
  readonly space: { readonly highPercent: number; readonly lowPercent: number } | null;
}

export type ImageGcReason = 'unused' | 'space';

/** An image that would go, or went. */
export interface ImageGcVictim extends PruneVictim {
  readonly reason: ImageGcReason;
  readonly lastUsedAt: Timestamp | null;
}

export interface ImageGcPreview {
  readonly victims: readonly ImageGcVictim[];
  readonly reclaimableBytes: number;
}

export interface ImageGcResult {
  readonly removed: readonly ImageGcVictim[];
  readonly reclaimedBytes: number;
}

/** The disk of the data root, as df(1) counts. */
export interface DiskUsage {
  readonly usedBytes: number;
  /** What can be used at all: without what is reserved for root. */
  readonly totalBytes: number;
}

/** The facade's verbs. */
export interface ImageGc {
  /** What a collection would take now. Changes nothing. */
  preview(): Promise<ImageGcPreview>;
  /** Collects by the rules, whether they are on or not; one at a time. After an abort the signal's reason is thrown. */
  run(signal: AbortSignal, onRemoved?: (victim: ImageGcVictim) => void): Promise<ImageGcResult>;
}
