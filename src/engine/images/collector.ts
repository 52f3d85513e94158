/**
 * Takes away layers and blobs that no image needs. What a pull or load is about to use is *pinned*: it is not collected
 * although no image names it yet. Pins and collections exclude each other, so that a pin either comes before a
 * collection, which then spares it, or after, when what was collected is seen to be gone.
 */
import { ConflictError, messageOf } from '../../base/errors.ts';
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
  readonly logger: Logger;
}

export class Collector {
  readonly #needs: CollectorDependencies;
  readonly #pins = new Map<string, number>();
  readonly #turns = new Mailbox();

  constructor(dependencies: CollectorDependencies) {
    this.#needs = dependencies;
  }

  /** Protects layers and blobs until disposed. */
  async pin(candidates: Candidates): Promise<Disposable> {
    const keys = [...candidates.layers, ...candidates.blobs];
    await this.#turns.run(() => {
      for (const key of keys) this.#pins.set(key, (this.#pins.get(key) ?? 0) + 1);
    });
    return { [Symbol.dispose]: () => this.#unpin(keys) };
  }

  /** Removes those candidates that nobody needs; returns the layers that went, highest first. */
  async collect(candidates: Candidates): Promise<readonly ChainId[]> {
    return await this.#turns.run(async () => {
      const { catalog, content, layers, logger } = this.#needs;
      const removed: ChainId[] = [];
      const used = catalog.usedLayers();
      for (const chainId of candidates.layers.toReversed()) {
        if (used.has(chainId) || this.#pins.has(chainId)) continue;
        try {
          if ((await layers.stat(chainId)) === null) continue;
          await layers.remove(chainId);
          removed.push(chainId);
        } catch (error) {
          // A container still stands on it: the layer goes at the next start after the container has gone.
          if (error instanceof ConflictError) continue;
          logger.warn('layer could not be removed', { chainId, error: messageOf(error) });
        }
      }
      for (const digest of candidates.blobs) {
        if (this.#pins.has(digest) || catalog.tables.isBlobUsed(digest)) continue;
        await content.remove(digest).catch((error: unknown) => {
          logger.warn('blob could not be removed', { digest, error: messageOf(error) });
        });
      }
      return removed;
    });
  }

  /** Removes everything that nobody needs: what a killed daemon left, and layers whose last container has gone. */
  async collectAll(): Promise<void> {
    const { content, layerTable } = this.#needs;
    const blobs: Digest[] = [];
    for await (const { digest } of content.walk()) blobs.push(digest);
    await this.collect({ layers: lowestFirst(layerTable), blobs });
  }

  #unpin(keys: readonly string[]): void {
    for (const key of keys) {
      const count = (this.#pins.get(key) ?? 0) - 1;
      if (count > 0) this.#pins.set(key, count);
      else this.#pins.delete(key);
    }
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
