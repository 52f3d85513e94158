/**
 * The room of image collection; types.ts has its words and rules. It acts through prune, and keeps nothing but the rules:
 * an engine that is killed in the midst leaves a whole store, and the next collection goes on from what it finds.
 */
import { formatTimestamp, type Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { Mailbox } from '../../base/mailbox.ts';
import type { Containers } from '../containers/types.ts';
import type { Events } from '../events/types.ts';
import type { ImageRoom } from '../images/index.ts';
import type { ImageId } from '../oci/digest.ts';
import { PRUNE_NOTHING, type Prune, type PruneRequest, type PruneVictim } from '../prune/types.ts';
import type { DiskUsage, ImageGc, ImageGcReason, ImageGcResult, ImageGcRules, ImageGcVictim } from './types.ts';
import { followUses } from './uses.ts';

export interface ImageGcDependencies {
  readonly prune: Pick<Prune, 'preview' | 'run'>;
  readonly containers: Pick<Containers, 'list' | 'get'>;
  readonly builds: { collectCache(): Promise<void> };
  readonly images: Pick<ImageRoom, 'lastUses' | 'touch' | 'collectLeftovers'>;
  readonly events: Pick<Events, 'listen'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly diskUsage: () => Promise<DiskUsage>;
  readonly rules: ImageGcRules;
}

/** The room as the composition root sees it. */
export interface EngineImageGc extends ImageGc, AsyncDisposable {
  reconfigure(rules: ImageGcRules): void;
  /** Makes room if it is on and the disk is over the high mark; else nothing. Never rejects: what comes next may still fit. */
  relieve(): Promise<void>;
}

/** What was just brought is not taken for lack of space before it could be used. */
const SPACE_MIN_UNUSED = '10m';
/** After these the disk may be fuller than before. */
const FILLING: ReadonlySet<string> = new Set(['pull', 'load', 'import', 'tag']);

/** Makes the room. It notes uses of images from now on. */
export function createImageGc(dependencies: ImageGcDependencies): EngineImageGc {
  return new ImageGcRoom(dependencies);
}

class ImageGcRoom implements EngineImageGc {
  readonly #needs: ImageGcDependencies;
  readonly #turns = new Mailbox();
  readonly #watching = new DisposableStack();
  readonly #ending = new AbortController();
  #rules: ImageGcRules;
  #relief: Promise<void> | null = null;
  /** The disk is too full, and nothing is left that may go. */
  #isShort = false;

  constructor(dependencies: ImageGcDependencies) {
    this.#needs = dependencies;
    this.#rules = dependencies.rules;
    this.#watching.use(followUses(dependencies));
    this.#watching.use(
      dependencies.events.listen(({ type, action }) => {
        if (type === 'image' && FILLING.has(action)) void this.relieve();
      }),
    );
  }

  reconfigure(rules: ImageGcRules): void {
    this.#rules = rules;
  }

  async preview(): Promise<{ readonly victims: readonly ImageGcVictim[]; readonly reclaimableBytes: number }> {
    const { prune, diskUsage } = this.#needs;
    const lastUses = this.#needs.images.lastUses();
    const chosen = new Map<string, ImageGcVictim>();
    const add = (victim: PruneVictim, reason: ImageGcReason): void => {
      const lastUsedAt = lastUses.get(victim.id as ImageId) ?? null;
      chosen.set(victim.id, { ...victim, reason, lastUsedAt });
    };
    const unused = this.#unusedRequest();
    for (const victim of unused === null ? [] : (await prune.preview(unused)).victims) add(victim, 'unused');
    const freed = (): number => [...chosen.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const excess = excessOf(await diskUsage(), this.#rules);
    for (const request of excess > 0 ? this.#spaceRequests() : []) {
      for (const victim of (await prune.preview(request)).victims) {
        if (freed() >= excess) break;
        if (!chosen.has(victim.id)) add(victim, 'space');
      }
    }
    return { victims: [...chosen.values()], reclaimableBytes: freed() };
  }

  run(signal: AbortSignal, onRemoved: (victim: ImageGcVictim) => void = () => {}): Promise<ImageGcResult> {
    return this.#turns.run(async () => {
      const ending = AbortSignal.any([signal, this.#ending.signal]);
      const before = await this.#needs.diskUsage();
      const removed: ImageGcVictim[] = [];
      const note = (victim: ImageGcVictim): void => {
        removed.push(victim);
        onRemoved(victim);
      };
      const unused = this.#unusedRequest();
      if (unused !== null) await this.#take(unused, 'unused', ending, note);
      await this.#makeSpace(ending, note);
      await this.#needs.images.collectLeftovers();
      const after = await this.#needs.diskUsage();
      const reclaimedBytes = Math.max(0, before.usedBytes - after.usedBytes, sumOf(removed));
      this.#needs.logger.info('images collected', {
        message: 'image-gc',
        count: removed.length,
        reclaimedBytes,
        usedPercent: percentOf(after),
      });
      return { removed, reclaimedBytes };
    });
  }

  relieve(): Promise<void> {
    if (!this.#rules.isOn || this.#rules.isDryRun || this.#rules.space === null) return Promise.resolve();
    return (this.#relief ??= this.#relieve().finally(() => {
      this.#relief = null;
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching.dispose();
    this.#ending.abort(new Error('the engine ends'));
    await this.#turns.idle();
  }

  async #relieve(): Promise<void> {
    try {
      if (excessOf(await this.#needs.diskUsage(), this.#rules) <= 0) return;
      await this.#turns.run(async () => this.#makeSpace(this.#ending.signal, () => {}));
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.#needs.logger.warn('no room could be made by collecting images', { error: messageOf(error) });
    }
  }

  /** From above the high mark down to the low one. */
  async #makeSpace(signal: AbortSignal, onRemoved: (victim: ImageGcVictim) => void): Promise<void> {
    const { diskUsage, logger } = this.#needs;
    if (excessOf(await diskUsage(), this.#rules) <= 0) {
      this.#isShort = false;
      return;
    }
    // What builds keep is made again more easily than an image is pulled.
    await this.#needs.builds.collectCache();
    const isEnough = async (): Promise<boolean> => aboveLow(await diskUsage(), this.#rules) <= 0;
    for (const request of this.#spaceRequests()) {
      await this.#take(request, 'space', signal, onRemoved, isEnough);
    }
    const usage = await diskUsage();
    const wasShort = this.#isShort;
    this.#isShort = excessOf(usage, this.#rules) > 0;
    // Said once, and not around each pull again.
    if (!this.#isShort || wasShort) return;
    logger.warn('the disk is fuller than it should be, and there is no image left that may go', {
      message: 'image-gc-short',
      usedPercent: percentOf(usage),
    });
  }

  async #take(
    request: PruneRequest,
    reason: ImageGcReason,
    signal: AbortSignal,
    onRemoved: (victim: ImageGcVictim) => void,
    isEnough: () => Promise<boolean> = async () => false,
  ): Promise<void> {
    const lastUses = this.#needs.images.lastUses();
    const took = (victim: PruneVictim): void => {
      const gone = { ...victim, reason, lastUsedAt: lastUses.get(victim.id as ImageId) ?? null };
      this.#log(gone);
      onRemoved(gone);
    };
    await this.#needs.prune.run(request, signal, { onRemoved: took, isEnough, isQuiet: true });
  }

  #log({ id, name, bytes, reason, lastUsedAt }: ImageGcVictim): void {
    const lastUsed = lastUsedAt === null ? 'never' : formatTimestamp(lastUsedAt);
    const why = reason === 'unused' ? `not used since ${lastUsed}` : `the disk is too full, last used ${lastUsed}`;
    const fields = { message: 'image-gc-remove', imageId: id, reason, lastUsed, bytes };
    this.#needs.logger.info(`image ${name === '' ? id : name} collected: ${why}`, fields);
  }

  #unusedRequest(): PruneRequest | null {
    const { unusedFor, keepNewestTags } = this.#rules;
    return unusedFor === null ? null : this.#request(unusedFor, keepNewestTags);
  }

  /** The newest tags give way last. */
  #spaceRequests(): readonly PruneRequest[] {
    const { keepNewestTags } = this.#rules;
    const kept = keepNewestTags === 0 ? [] : [this.#request(SPACE_MIN_UNUSED, keepNewestTags)];
    return [...kept, this.#request(SPACE_MIN_UNUSED, 0)];
  }

  #request(unusedFor: string, newestTags: number): PruneRequest {
    return {
      ...PRUNE_NOTHING,
      types: ['image'],
      danglingOnly: false,
      unusedFor,
      order: 'least-recently-used-first',
      keep: { labels: this.#rules.keepLabels, newestTags },
    };
  }
}

/** Bytes to free to come down to the low mark; 0 or less below the high one. */
function excessOf(usage: DiskUsage, { space }: ImageGcRules): number {
  return space === null || percentOf(usage) < space.highPercent ? 0 : aboveLow(usage, { space });
}

function aboveLow({ usedBytes, totalBytes }: DiskUsage, { space }: Pick<ImageGcRules, 'space'>): number {
  return space === null ? 0 : usedBytes - (totalBytes * space.lowPercent) / 100;
}

function percentOf({ usedBytes, totalBytes }: DiskUsage): number {
  return totalBytes === 0 ? 0 : Math.floor((usedBytes * 100) / totalBytes);
}

function sumOf(victims: readonly PruneVictim[]): number {
  return victims.reduce((sum, { bytes }) => sum + bytes, 0);
}
