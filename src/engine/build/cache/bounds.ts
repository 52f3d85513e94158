/** The cache does not fill the disk: after builds, and when images are collected for space, it comes down to its limits. */
import { statfs } from 'node:fs/promises';
import type { Clock, Timestamp } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import type { Builds, CacheLimits, CachePruneRequest } from '../types.ts';
import type { StepCache } from './step-cache.ts';

export interface CacheBoundsNeeds {
  readonly prune: Builds['pruneCache'];
  readonly steps: Pick<StepCache, 'limitBare'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataRoot: string;
  readonly limits: CacheLimits;
}

/** Cache mounts are measured for it, which takes as long as they are large. */
const LEAST_INTERVAL_MS = 60_000;
/** A row without a layer is some hundred bytes: a few megabytes in all. */
const MOST_BARE_STEPS = 10_000;
/** As BuildKit keeps what nobody uses. */
const UNUSED_FOR = '1440h';
const UNUSED_FOR_NS = 1440n * 3_600_000_000_000n;
const NOTHING: CachePruneRequest = {
  all: false,
  keepBytes: null,
  maxUsedBytes: null,
  minFreeBytes: null,
  until: null,
  filters: new Map(),
};

export class CacheBounds implements AsyncDisposable {
  readonly #needs: CacheBoundsNeeds;
  readonly #ending = new AbortController();
  #limits: CacheLimits;
  #running: Promise<void> | null = null;
  #timer: Disposable | null = null;
  #atStart: Disposable | null = null;
  #lastMs = -Infinity;

  constructor(needs: CacheBoundsNeeds) {
    this.#needs = needs;
    this.#limits = needs.limits;
  }

  reconfigure(limits: CacheLimits): void {
    this.#limits = limits;
    this.#lastMs = -Infinity;
  }

  /** What the last run left is looked at when the start is over, unless a build has ended before. */
  engineStarted(): void {
    this.#atStart = this.#needs.clock.after(LEAST_INTERVAL_MS, () => this.buildEnded());
  }

  /** Collects soon: at once, or when the last time is long enough ago. */
  buildEnded(): void {
    this.#atStart?.[Symbol.dispose]();
    if (this.#limits.kind === 'none' || this.#timer !== null || this.#ending.signal.aborted) return;
    const waitMs = this.#lastMs + LEAST_INTERVAL_MS - this.#needs.clock.monotonicMs();
    if (waitMs <= 0) {
      void this.collect();
      return;
    }
    this.#timer = this.#needs.clock.after(waitMs, () => {
      this.#timer = null;
      void this.collect();
    });
  }

  /** Never rejects. */
  async collect(): Promise<void> {
    if (this.#limits.kind === 'none' || this.#ending.signal.aborted) return;
    await (this.#running ??= this.#collect().finally(() => {
      this.#running = null;
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#atStart?.[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#ending.abort(new Error('the engine ends'));
    await this.#running;
  }

  async #collect(): Promise<void> {
    const { prune, steps, clock, logger, dataRoot } = this.#needs;
    this.#lastMs = clock.monotonicMs();
    const removed: string[] = [];
    let reclaimedBytes = 0;
    try {
      for (const rule of await rulesOf(this.#limits, dataRoot)) {
        const done = await prune(rule, this.#ending.signal);
        removed.push(...done.removed);
        reclaimedBytes += done.reclaimedBytes;
      }
      steps.limitBare((clock.now() - UNUSED_FOR_NS) as Timestamp, MOST_BARE_STEPS);
    } catch (error) {
      if (!this.#ending.signal.aborted) {
        logger.warn('the build cache could not be brought down to its limits', { reason: messageOf(error) });
      }
    }
    if (removed.length > 0) {
      logger.info('the build cache was brought down to its limits', { count: removed.length, reclaimedBytes });
    }
  }
}

async function rulesOf(limits: CacheLimits, dataRoot: string): Promise<readonly CachePruneRequest[]> {
  switch (limits.kind) {
    case 'none':
      return [];
    case 'policy':
      return limits.rules;
    case 'usual': {
      const { blocks, bsize } = await statfs(dataRoot);
      return usualRules(limits, blocks * bsize);
    }
  }
}

const RESERVED_PERCENT = 10;
const MAX_USED_PERCENT = 80;
const MIN_FREE_PERCENT = 20;
/** BuildKit's e · π · φ: what of the cache is kept for a short time only. */
const SHORT_LIVED_PART = (Math.E * Math.PI * ((1 + Math.sqrt(5)) / 2)) / 100;
const LEAST_SHORT_LIVED_BYTES = 512e6;

/** BuildKit's rules, for a disk of so many bytes. Pure. */
export function usualRules(
  { reservedBytes, maxUsedBytes, minFreeBytes }: Extract<CacheLimits, { readonly kind: 'usual' }>,
  diskBytes: number,
): readonly CachePruneRequest[] {
  const isOpen = reservedBytes === null && maxUsedBytes === null && minFreeBytes === null;
  const part = (percent: number): number => (Math.floor((diskBytes * percent) / 100 / 2 ** 30) + 1) * 1e9;
  const bounds = {
    keepBytes: isOpen ? part(RESERVED_PERCENT) : reservedBytes,
    maxUsedBytes: isOpen ? part(MAX_USED_PERCENT) : maxUsedBytes,
    minFreeBytes: isOpen ? part(MIN_FREE_PERCENT) : minFreeBytes,
  };
  const shortLived = Math.max(LEAST_SHORT_LIVED_BYTES, Math.round((bounds.keepBytes ?? 0) * SHORT_LIVED_PART));
  return [
    // What is made again most easily.
    { ...NOTHING, filters: new Map([['type', ['exec.cachemount']]]), until: '48h', maxUsedBytes: shortLived },
    { ...NOTHING, ...bounds, until: UNUSED_FOR },
    { ...NOTHING, ...bounds },
    { ...NOTHING, ...bounds, all: true },
  ];
}
