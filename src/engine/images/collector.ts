/**
 * Takes away layers and blobs that no image needs. What a pull or load is about to use is *pinned*: it is not collected
 * although no image names it yet. Pins and collections exclude each other, so that a pin either comes before a
 * collection, which then spares it, or after, when what was collected is seen to be gone.
 */
import { ConflictError, messageOf, UnavailableError } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import { Mailbox } from '../../base/mailbox.ts';
import type { ContentStore } from '../content/store.ts';
import type { ChainId, Digest } from '../oci/digest.ts';
import type { LayerTable } from '../state/layers.ts';
import type { LayerStore } from '../storage/layers.ts';
import type { ImageCatalog } from './catalog.ts';

/** What may be garbage. */
export interface Candidates {
  /** Lowest first. */
  readonly layers: readonly ChainId[];
  readonly blobs: readonly Digest[];
}

export interface CollectorDependencies {
  readonly catalog: ImageCatalog;
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly layerTable: LayerTable;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Downloads that were cut are resumed until then. */
const UNFINISHED_AGE_NS = 24n * 3600n * 1_000_000_000n;
/** Longer than a verb takes from the end of its layer or blob to naming it. */
const SETTLING_NS = 10n * 60n * 1_000_000_000n;

export class Collector {
  readonly #needs: CollectorDependencies;
  /** Apart: the chain id of a lowest layer is the digest of its plain blob. */
  readonly #pinnedLayers = new Pins<ChainId>();
  readonly #pinnedBlobs = new Pins<Digest>();
  readonly #turns = new Mailbox();
  /** What the collection at start-up left for what stood on it then, lowest first. */
  #stoodOn: readonly ChainId[] = [];
  readonly #settledLayers: Settled<ChainId>;
  readonly #settledBlobs: Settled<Digest>;

  constructor(dependencies: CollectorDependencies) {
    this.#needs = dependencies;
    this.#settledLayers = new Settled(dependencies.clock);
    this.#settledBlobs = new Settled(dependencies.clock);
  }

  /** Protects layers and blobs until disposed. */
  async pin({ layers, blobs }: Candidates): Promise<Disposable> {
    await this.#turns.run(() => {
      this.#pinnedLayers.add(layers);
      this.#pinnedBlobs.add(blobs);
    });
    return {
      [Symbol.dispose]: () => {
        this.#pinnedLayers.remove(layers);
        this.#pinnedBlobs.remove(blobs);
      },
    };
  }

  /** Removes those candidates that nobody needs; returns the layers that went, highest first. */
  async collect(candidates: Candidates): Promise<readonly ChainId[]> {
    return (await this.#collect(candidates)).removed;
  }

  /** Tells also of layers that nobody needs, but on which something stands. Both highest first. */
  async #collect(candidates: Candidates): Promise<Record<'removed' | 'stoodOn', readonly ChainId[]>> {
    return await this.#turns.run(async () => {
      const { catalog, content, layers, logger } = this.#needs;
      const removed: ChainId[] = [];
      const stoodOn: ChainId[] = [];
      const used = catalog.usedLayers();
      for (const chainId of candidates.layers.toReversed()) {
        if (used.has(chainId) || this.#pinnedLayers.has(chainId)) continue;
        try {
          if ((await layers.stat(chainId)) === null) continue;
          await this.#removeLayer(chainId);
          removed.push(chainId);
        } catch (error) {
          // A container still stands on it: the layer goes with that, or with the rest of a start-up.
          if (error instanceof ConflictError) stoodOn.push(chainId);
          else logger.warn('layer could not be removed', { chainId, error: messageOf(error) });
        }
      }
      for (const digest of candidates.blobs) {
        if (this.#pinnedBlobs.has(digest) || catalog.tables.isBlobUsed(digest)) continue;
        await content.remove(digest).catch((error: unknown) => {
          logger.warn('blob could not be removed', { digest, error: messageOf(error) });
        });
      }
      return { removed, stoodOn };
    });
  }

  /**
   * At start-up, when nothing is under way: removes everything that nobody needs, as a killed daemon left it. Looks at
   * names only, never into blobs.
   */
  async collectAll(): Promise<void> {
    const { content } = this.#needs;
    const blobs: Digest[] = [];
    for await (const { digest } of content.walk()) blobs.push(digest);
    this.#stoodOn = (await this.#collect({ layers: this.#everyLayer(), blobs })).stoodOn.toReversed();
    await this.collectUnfinished({ isStart: true });
  }

  /** Later at start-up: layers on which only half of a container or of a build's step stood, which has been taken away since. */
  async collectStoodOn(): Promise<void> {
    const layers = this.#stoodOn;
    this.#stoodOn = [];
    if (layers.length > 0) await this.collect({ layers, blobs: [] });
  }

  /**
   * Removes what was left lying: layers that neither image nor container needs, blobs that no image names, downloads that
   * nobody took up again. Safe at any time: what came lately may belong to a verb that has not named it yet, and stays.
   */
  async collectLeftovers(): Promise<void> {
    const { content, catalog } = this.#needs;
    const orphans: Digest[] = [];
    for await (const { digest } of content.walk()) if (!catalog.tables.isBlobUsed(digest)) orphans.push(digest);
    const layers = this.#settledLayers.among(this.#unusedLayers());
    await this.collect({ layers, blobs: this.#settledBlobs.among(orphans) });
    await this.collectUnfinished();
  }

  /** Layers on which only a container stood that has gone now; a verb under way has none of these. */
  async collectChain(top: ChainId): Promise<void> {
    const { layerTable } = this.#needs;
    const chain: ChainId[] = [];
    for (let at = layerTable.get(top); at !== null; at = at.parent === null ? null : layerTable.get(at.parent)) {
      chain.unshift(at.chainId);
    }
    await this.collect({ layers: chain, blobs: [] });
  }

  /** Removes old unfinished downloads, and at start what no download is. */
  async collectUnfinished({ isStart = false } = {}): Promise<void> {
    const { content, clock, logger } = this.#needs;
    const limit = clock.now() - UNFINISHED_AGE_NS;
    for (const { name, sizeBytes, writtenAt, isHeld, isResumable } of await content.unfinished()) {
      const isWorthless = isStart && !isResumable;
      if (isHeld || !(isWorthless || writtenAt < limit)) continue;
      try {
        if (await content.dropUnfinished(name)) logger.info('unfinished download removed', { name, sizeBytes });
      } catch (error) {
        logger.warn('unfinished download could not be removed', { name, error: messageOf(error) });
      }
    }
  }

  /** True while a verb protects it. */
  isLayerPinned(chainId: ChainId): boolean {
    return this.#pinnedLayers.has(chainId);
  }

  /** True while a verb protects it. */
  isBlobPinned(digest: Digest): boolean {
    return this.#pinnedBlobs.has(digest);
  }

  /** On a full disk the first try makes the room that the second one needs; see state/database.ts. */
  async #removeLayer(chainId: ChainId): Promise<void> {
    const { layers } = this.#needs;
    try {
      await layers.remove(chainId);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      await layers.remove(chainId);
    }
  }

  /** Layers that no image stands on, lowest first. A container may. */
  #unusedLayers(): readonly ChainId[] {
    const used = this.#needs.catalog.usedLayers();
    return this.#everyLayer().filter((chainId) => !used.has(chainId));
  }

  #everyLayer(): readonly ChainId[] {
    return lowestFirst(this.#needs.layerTable);
  }
}

/** How many protect a thing. */
class Pins<T extends Digest | ChainId> {
  readonly #counts = new Map<T, number>();

  add(keys: readonly T[]): void {
    for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  remove(keys: readonly T[]): void {
    for (const key of keys) {
      const count = (this.#counts.get(key) ?? 0) - 1;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    }
  }

  has(key: T): boolean {
    return this.#counts.has(key);
  }
}

/** Tells what has been without a name for a while: two looks, with some time in between, found it so. */
class Settled<T extends Digest | ChainId> {
  readonly #clock: Clock;
  #firstSeen: ReadonlyMap<T, bigint> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those of `nameless` that were so long ago. What is not given has got a name or has gone: it is forgotten. */
  among(nameless: readonly T[]): readonly T[] {
    const now = this.#clock.now();
    const since = new Map(nameless.map((key) => [key, this.#firstSeen.get(key) ?? now]));
    this.#firstSeen = since;
    return nameless.filter((key) => now - (since.get(key) ?? now) >= SETTLING_NS);
  }
}

function lowestFirst(table: LayerTable): readonly ChainId[] {
  const rows = table.all();
  const parents = new Map(rows.map(({ chainId, parent }) => [chainId, parent]));
  const depthOf = (chainId: ChainId): number => {
    let depth = 0;
    for (let at = parents.get(chainId) ?? null; at !== null; at = parents.get(at) ?? null) depth += 1;
    return depth;
  };
  const depths = new Map(rows.map(({ chainId }) => [chainId, depthOf(chainId)]));
  return rows.map(({ chainId }) => chainId).sort((a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0));
}
