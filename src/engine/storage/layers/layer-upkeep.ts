import { DataLossError, InternalError, messageOf, NotFoundError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { LayerRow, LayerTable } from '../../state/layers.ts';
import { isBare, type StorageDriver } from '../driver.ts';
import {
  isMendable,
  isRelimitable,
  type KeptLimits,
  type LayerUpkeep,
  type LeftoverTree,
  type MendableDriver,
} from '../mending.ts';
import { measureTree } from '../tree-usage.ts';
import { EXTRACT_PREFIX, type DriverLayerStore } from './driver-layer-store.ts';
import type { LayerWorkers } from './workers.ts';

/** Options of {@link DriverLayerUpkeep}. */
export interface LayerUpkeepOptions {
  readonly driver: StorageDriver;
  readonly layers: LayerTable;
  readonly store: DriverLayerStore;
  readonly workers: LayerWorkers;
}

/** {@link LayerUpkeep} on a driver that can mend. */
export class DriverLayerUpkeep implements LayerUpkeep {
  readonly #options: LayerUpkeepOptions;

  constructor(options: LayerUpkeepOptions) {
    this.#options = options;
  }

  get limits(): KeptLimits | null {
    const { driver } = this.#options;
    return isRelimitable(driver) ? driver.limits : null;
  }

  async examine(chainId: ChainId): Promise<string | null> {
    const row = this.#rowOf(chainId);
    const wrong = await this.#driver().examine(chainId);
    if (wrong !== null) return wrong;
    const info = await this.#driver().stat(chainId);
    return info?.parent === row.parent
      ? null
      : `it stands on ${info?.parent ?? 'nothing'} in place of ${row.parent ?? 'nothing'}`;
  }

  async compare(chainId: ChainId, blobPath: string, signal: AbortSignal): Promise<readonly string[]> {
    const { store, workers } = this.#options;
    const driver = this.#driver();
    const { parent, diffId } = this.#rowOf(chainId);
    const key = store.newKey();
    return Undo.guard(async (undo) => {
      undo.defer(async () => driver.remove(key));
      await store.write(key, { blobPath, parent, diffId, signal });
      const expected = await this.#ownTree(key, undo);
      const actual = await this.#ownTree(chainId, undo);
      const outcome = await workers.run({ kind: 'match', expected, actual }, { signal });
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      if (outcome.kind === 'done') return outcome.result;
      throw new InternalError(outcome.kind === 'failed' ? outcome.message : `comparing ended early: ${outcome.kind}`);
    });
  }

  async rebuild(chainId: ChainId, blobPath: string, signal: AbortSignal): Promise<void> {
    const { parent, diffId } = this.#rowOf(chainId);
    await this.#dropHalfReplaced();
    await this.#options.store.unpack({ blobPath, parent, diffId, signal, again: true });
  }

  /**
   * A rebuild that was killed may have left the layer's next files under two names at once: to remove the other one later
   * would take the files from the layer.
   */
  async #dropHalfReplaced(): Promise<void> {
    const { store } = this.#options;
    const driver = this.#driver();
    const halves: string[] = [];
    for await (const { key } of driver.walk()) {
      if (key.startsWith(EXTRACT_PREFIX) && !store.isWriting(key)) halves.push(key);
    }
    for (const key of halves) await driver.remove(key);
  }

  async leftovers(containers: () => ReadonlySet<string>): Promise<readonly LeftoverTree[]> {
    const { layers, store } = this.#options;
    const driver = this.#driver();
    const snapshots: { readonly key: string; readonly kind: string }[] = [];
    const strays = await driver.strays();
    for await (const { key, kind } of driver.walk()) snapshots.push({ key, kind });
    const known = containers();
    const isNeeded = (key: string): boolean =>
      layers.get(key as ChainId) !== null || known.has(key) || store.isWriting(key);
    const found: LeftoverTree[] = [];
    for (const { key } of snapshots) {
      if (isNeeded(key)) continue;
      const { sizeBytes } = await driver.usage(key).catch(() => ({ sizeBytes: 0 }));
      const remove = async (): Promise<boolean> => !isNeeded(key) && driver.remove(key).then(() => true);
      found.push({ name: key, sizeBytes, remove });
    }
    for (const stray of strays) {
      if (stray.key !== null && isNeeded(stray.key)) continue;
      const { sizeBytes } = await measureTree(stray.path).catch(() => ({ sizeBytes: 0 }));
      found.push({ name: stray.path, sizeBytes, remove: async () => driver.dropStray(stray) });
    }
    return found;
  }

  async snapshotOf(containerId: string): Promise<{ readonly parent: ChainId | null } | null> {
    try {
      const info = await this.#options.driver.stat(containerId);
      return info === null ? null : { parent: info.parent as ChainId | null };
    } catch (error) {
      throw error instanceof DataLossError ? error : new DataLossError(messageOf(error), { cause: error });
    }
  }

  /** The directory of what a snapshot itself brought: the layer alone, or the whole tree of a driver of whole trees. */
  async #ownTree(key: string, undo: Undo): Promise<string> {
    const { driver, store } = this.#options;
    if (isBare(driver)) return (await driver.layerRoot(key)).path;
    return (await store.trees.hold(key, undo, { access: 'read' })).root;
  }

  #rowOf(chainId: ChainId): LayerRow {
    const row = this.#options.layers.get(chainId);
    if (row === null) throw new NotFoundError(`layer ${chainId} does not exist`);
    return row;
  }

  #driver(): MendableDriver {
    const { driver } = this.#options;
    if (!isMendable(driver)) throw new InternalError(`storage driver ${driver.name} cannot be checked`);
    return driver;
  }
}
