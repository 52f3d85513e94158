/**
 * What steps have made, by content. A record outlives the engine and the image; its layer and blob are kept for it (see
 * state/build-steps.ts). A record whose layer or blob has gone or is damaged is dropped when it is asked for.
 */
import type { Clock, Timestamp } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { ContentStore } from '../../content/store.ts';
import type { Candidates } from '../../images/collector.ts';
import type { ImageStore } from '../../images/index.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { BuildTables } from '../../state/build-steps.ts';
import type { LayerStore } from '../../storage/layers.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import { linkedOf, rowOf, stepOf, type CachedStep } from './record.ts';

export interface StepCacheNeeds {
  readonly tables: BuildTables;
  readonly layers: Pick<LayerStore, 'stat' | 'unpack'>;
  readonly content: Pick<ContentStore, 'stat' | 'pathOf'>;
  readonly store: Pick<ImageStore, 'catalog' | 'collector'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface FindOptions {
  readonly hold: Hold;
  /** What the step stands on now; null: nothing. */
  readonly parent: ChainId | null;
  readonly signal: AbortSignal;
}

/** Protects layers and blobs for as long as a build needs them. */
export type Hold = (candidates: Candidates) => Promise<void>;

export class StepCache {
  readonly #needs: StepCacheNeeds;
  readonly #turns = new KeyedLock<string>();
  /** How many builds under way have each step. */
  readonly #users = new Map<string, number>();

  constructor(needs: StepCacheNeeds) {
    this.#needs = needs;
  }

  /** Lets one build at a time make a step: the next finds it made. */
  async turn<T>(key: string, job: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#turns.hold(key, job, signal);
  }

  /** The step, with its layer held and unpacked onto `parent`; null when it was never made, or what it made has gone. */
  async find(key: string, { hold, parent, signal }: FindOptions): Promise<CachedStep | null> {
    const row = this.#needs.tables.step(key);
    if (row === null) return null;
    const step = stepOf(row);
    if (step.layer === null) return step;
    const candidates = candidatesOf(step.layer);
    await hold(candidates);
    if (await this.provide(step.layer, { parent, signal })) return step;
    this.#needs.store.catalog.transaction(() => {
      this.#needs.tables.remove(key);
      this.#needs.tables.removeBareChildren(key);
    });
    return null;
  }

  /** Remembers by a second name what a step has made, whatever it stands on: it goes with the step. */
  putLink(linkKey: string, step: CachedStep): void {
    this.#needs.tables.put({ ...rowOf(step), key: linkKey, parent: step.key, chainId: null });
  }

  /** The layer of that name, as a blob of a size; null when there is none. */
  linked(linkKey: string): Pick<CapturedLayer, 'diffId' | 'blob'> | null {
    const row = this.#needs.tables.step(linkKey);
    return row === null ? null : linkedOf(row);
  }

  /** What the step's record keeps, which {@link put} is about to replace; null: nothing. */
  kept(key: string): Candidates | null {
    const row = this.#needs.tables.step(key);
    const layer = row === null ? null : stepOf(row).layer;
    return layer === null ? null : candidatesOf(layer);
  }

  /** Remembers a step whose layer is held. */
  put(step: CachedStep): void {
    this.#needs.tables.put(rowOf(step));
  }

  /** Notes that builds took these steps from here. */
  touch(keys: readonly string[]): void {
    const { store, tables, clock } = this.#needs;
    if (keys.length === 0) return;
    const now = clock.now();
    store.catalog.transaction(() => {
      for (const key of new Set(keys)) tables.touch(key, now);
    });
  }

  /** Says that a build uses a step, until it is disposed of. */
  use(key: string): Disposable {
    this.#users.set(key, (this.#users.get(key) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#users.get(key) ?? 0) - 1;
        if (left > 0) this.#users.set(key, left);
        else this.#users.delete(key);
      },
    };
  }

  isInUse(key: string): boolean {
    return this.#users.has(key);
  }

  /**
   * Forgets a step, with those that only changed the configuration on top of it, and takes away what it kept. False: a
   * build uses it, or it has gone.
   */
  async removeByKey(key: string): Promise<boolean> {
    const { store, tables } = this.#needs;
    const row = tables.step(key);
    if (row === null || this.isInUse(key)) return false;
    store.catalog.transaction(() => {
      tables.remove(key);
      tables.removeBareChildren(key);
    });
    const { layer } = stepOf(row);
    if (layer === null) return true;
    // With those below that only it stood on: their own records may have been replaced.
    await store.collector.collectChain(layer.chainId);
    await store.collector.collect({ layers: [], blobs: [layer.blob.digest] });
    return true;
  }

  /** Forgets the steps that changed the configuration of an image, and on which nothing with a layer stands any more. */
  removeBare(): void {
    this.#needs.tables.removeBare();
  }

  /** Of the steps that only changed a configuration, keeps the last taken. */
  limitBare(since: Timestamp, atMost: number): void {
    this.#needs.tables.limitBare(since, atMost);
  }

  /**
   * Sees to it that a layer that is held is there. Its blob is what lasts: another storage driver unpacks it again. False
   * when it cannot be had.
   */
  async provide(
    { chainId, diffId, blob }: CapturedLayer,
    { parent, signal }: Pick<FindOptions, 'parent' | 'signal'>,
  ): Promise<boolean> {
    const { layers, content, logger } = this.#needs;
    const [layer, stored] = await Promise.all([layers.stat(chainId), content.stat(blob.digest)]);
    if (stored?.sizeBytes !== blob.sizeBytes) return false;
    if (layer !== null) return true;
    try {
      const blobPath = await content.pathOf(blob.digest);
      return (await layers.unpack({ blobPath, parent, diffId, signal })).chainId === chainId;
    } catch (error) {
      signal.throwIfAborted();
      logger.warn('a layer of the build cache could not be unpacked', { layer: chainId, reason: messageOf(error) });
      return false;
    }
  }
}

/** What of a layer is to be held, or may be collected. */
export function candidatesOf({ chainId, blob }: CapturedLayer): Candidates {
  return { layers: [chainId], blobs: [blob.digest] };
}
