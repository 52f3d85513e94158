/**
 * Layers on a storage driver: the driver keeps the trees, the `layer` table says which of them are complete. A layer is
 * there when its row is; a snapshot without one is a leftover that the next unpack or {@link LayerStore.sweep} removes.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, DataLossError, InternalError, NotFoundError } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';
import type { Logger } from '../../../base/logger.ts';
import { Undo } from '../../../base/undo.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { chainIdsOf, digestOf, type ChainId, type DiffId } from '../../oci/digest.ts';
import type { LayerRow, LayerTable } from '../../state/layers.ts';
import type { BareLayerDriver, StorageDriver } from '../driver.ts';
import type { LayerStore, UnpackedLayer, UnpackRequest } from '../layers.ts';
import { Arrivals } from './arrivals.ts';
import type { UnpackJob, UnpackResult } from './job.ts';
import { processingError } from './layer-fault.ts';
import type { LayerWorkers } from './workers.ts';

/** Active snapshots of layers being unpacked. */
const EXTRACT_PREFIX = 'extract-';

/** Options of {@link DriverLayerStore}. */
export interface LayerStoreOptions {
  readonly driver: StorageDriver;
  readonly layers: LayerTable;
  readonly workers: LayerWorkers;
  readonly kernel: Kernel;
  /** Where a layer's parents are mounted for the rare layer that needs them; made when missing. */
  readonly mountRoot: string;
  readonly logger: Logger;
}

export class DriverLayerStore implements LayerStore {
  readonly #driver: StorageDriver;
  readonly #layers: LayerTable;
  readonly #options: LayerStoreOptions;
  readonly #lock = new KeyedLock<ChainId>();
  readonly #arrivals = new Arrivals();

  constructor(options: LayerStoreOptions) {
    this.#driver = options.driver;
    this.#layers = options.layers;
    this.#options = options;
  }

  async stat(chainId: ChainId): Promise<UnpackedLayer | null> {
    const row = this.#layers.get(chainId);
    return row === null ? null : unpacked(row);
  }

  announce(chainIds: readonly ChainId[]): Disposable {
    return this.#arrivals.expect(chainIds);
  }

  async unpack(request: UnpackRequest): Promise<UnpackedLayer> {
    request.signal?.throwIfAborted();
    if (request.diffId === null) return this.#unpackNew(request, null);
    const chainId = chainIdOf(request.parent, request.diffId);
    const existing = this.#layers.get(chainId);
    if (existing !== null) return unpacked(existing);
    using _ = this.#arrivals.expect([chainId]);
    return await this.#inTurn(chainId, request.signal, async () => {
      const meanwhile = this.#layers.get(chainId);
      return meanwhile === null ? this.#unpackNew(request, request.diffId) : unpacked(meanwhile);
    });
  }

  async remove(chainId: ChainId): Promise<void> {
    await this.#lock.hold(chainId, async () => {
      const row = this.#layers.get(chainId);
      if (row === null) return;
      if (this.#layers.hasChildren(chainId)) throw new ConflictError(`layer ${chainId} has children`);
      // The row goes first: a daemon killed in between leaves a snapshot without a row, which is swept.
      this.#layers.remove(chainId);
      try {
        await this.#driver.remove(chainId);
      } catch (error) {
        this.#layers.insert(row);
        throw error;
      }
    });
  }

  async sweep(): Promise<void> {
    const leftovers: string[] = [];
    for await (const { key, kind } of this.#driver.walk()) {
      const isOrphan = kind === 'committed' && this.#layers.get(key as ChainId) === null;
      if (isOrphan || key.startsWith(EXTRACT_PREFIX)) leftovers.push(key);
    }
    for (const key of leftovers) {
      try {
        await this.#driver.remove(key);
      } catch (error) {
        // A container on a layer without a row: its room decides; the space is lost, nothing else.
        this.#options.logger.warn('unfinished layer could not be removed', { key, error });
      }
    }
  }

  /**
   * Holds the layer's lock for `job`. An abort while others hold it rejects at once; later it is `job`'s business, which
   * settles when everything is undone.
   */
  async #inTurn<T>(chainId: ChainId, signal: AbortSignal | undefined, job: () => Promise<T>): Promise<T> {
    const { promise: impatience, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    const turn = this.#lock.hold(chainId, async () => {
      signal?.removeEventListener('abort', onAbort);
      signal?.throwIfAborted();
      return job();
    });
    return Promise.race([turn, impatience]);
  }

  async #unpackNew(request: UnpackRequest, diffId: DiffId | null): Promise<UnpackedLayer> {
    const key = `${EXTRACT_PREFIX}${randomBytes(8).toString('hex')}`;
    return Undo.guard(async (undo) => {
      undo.defer(async () => this.#driver.remove(key));
      const bare = isBare(this.#driver) ? this.#driver : null;
      const result = bare === null ? await this.#writeTree(key, request) : await this.#writeBare(bare, key, request);
      for (const warning of result.warnings) this.#options.logger.warn(warning, { blob: request.blobPath });
      if (diffId !== null && result.diffId !== diffId) {
        throw new DataLossError(`invalid diffID for layer: expected "${diffId}", got "${result.diffId}"`);
      }
      const row: LayerRow = {
        chainId: chainIdOf(request.parent, result.diffId as DiffId),
        parent: request.parent,
        diffId: result.diffId as DiffId,
        sizeBytes: result.sizeBytes,
      };
      if (diffId !== null) return this.#commit(key, row, undo);
      // An import learns its name only now: somebody may have come first with the same bytes.
      return this.#lock.hold(row.chainId, async () => this.#commit(key, row, undo));
    });
  }

  async #commit(key: string, row: LayerRow, undo: Undo): Promise<UnpackedLayer> {
    const existing = this.#layers.get(row.chainId);
    if (existing !== null) {
      await this.#driver.remove(key);
      return unpacked(existing);
    }
    // Left by a daemon killed between the driver's commit and the row.
    await this.#driver.remove(row.chainId);
    await this.#driver.commit(key, row.chainId);
    undo.defer(async () => this.#driver.remove(row.chainId));
    this.#layers.insert(row);
    this.#arrivals.wake(row.chainId);
    return unpacked(row);
  }

  /** overlay2: the layer alone is written at once; its parent is needed when it is complete. */
  async #writeBare(driver: BareLayerDriver, key: string, request: UnpackRequest): Promise<UnpackResult> {
    await driver.prepare(key, null);
    const { path, whiteouts } = await driver.layerRoot(key);
    const result = await this.#run(
      { kind: 'unpack', blobPath: request.blobPath, root: path, form: whiteouts },
      request,
    );
    await this.#parentIsThere(request);
    if (result === 'needs-parents') {
      await driver.remove(key);
      await driver.prepare(key, request.parent);
      return this.#writeMounted(key, request);
    }
    if (request.parent !== null) await driver.adopt(key, request.parent);
    return result;
  }

  /** Drivers whose snapshots are whole trees: the parent comes first. */
  async #writeTree(key: string, request: UnpackRequest): Promise<UnpackResult> {
    await this.#parentIsThere(request);
    const [mount] = await this.#driver.prepare(key, request.parent);
    if (mount?.type !== 'bind') return this.#writeMounted(key, request);
    return settled(
      await this.#run({ kind: 'unpack', blobPath: request.blobPath, root: mount.source, form: 'tree' }, request),
    );
  }

  /** Mounts the snapshot with its parents and writes into that. */
  async #writeMounted(key: string, request: UnpackRequest): Promise<UnpackResult> {
    const { kernel, mountRoot } = this.#options;
    const target = join(mountRoot, key);
    return Undo.guard(async (undo) => {
      await mkdir(target, { recursive: true, mode: 0o700 });
      undo.defer(async () => rmdir(target));
      for (const mount of await this.#driver.mounts(key)) {
        kernel.mounts.mount(mount, target);
        undo.defer(() => kernel.mounts.unmount(target));
      }
      const job: UnpackJob = { kind: 'unpack', blobPath: request.blobPath, root: target, form: 'tree' };
      const result = settled(await this.#run(job, request));
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      const { sizeBytes } = await this.#driver.usage(key);
      return { ...result, sizeBytes };
    });
  }

  async #run(job: UnpackJob, request: UnpackRequest): Promise<UnpackResult | 'needs-parents'> {
    const outcome = await this.#options.workers.run(job, { onProgress: request.onProgress, signal: request.signal });
    switch (outcome.kind) {
      case 'done':
        return outcome.result ?? raise('layer worker gave no result');
      case 'needs-parents':
        return 'needs-parents';
      case 'failed':
        throw processingError(outcome.error, outcome.message);
      case 'cancelled':
        return raise('layer worker stopped unasked');
    }
  }

  /** Waits while the parent is on its way. */
  async #parentIsThere({ parent, signal }: UnpackRequest): Promise<void> {
    while (parent !== null && this.#layers.get(parent) === null) {
      if (!this.#arrivals.isExpected(parent)) throw new NotFoundError(`layer ${parent} does not exist`);
      await this.#arrivals.changed(parent, signal);
    }
  }
}

function isBare(driver: StorageDriver): driver is BareLayerDriver {
  return 'layerRoot' in driver;
}

function unpacked({ chainId, diffId, sizeBytes }: LayerRow): UnpackedLayer {
  return { chainId, diffId, sizeBytes };
}

/** Of one layer on top of a chain that has an id already. */
function chainIdOf(parent: ChainId | null, diffId: DiffId): ChainId {
  const [lowest] = chainIdsOf([diffId]);
  return parent === null
    ? (lowest ?? (diffId as string as ChainId))
    : (digestOf(`${parent} ${diffId}`) as string as ChainId);
}

/** A tree form never asks for parents: they are in the tree. */
function settled(result: UnpackResult | 'needs-parents'): UnpackResult {
  return result === 'needs-parents' ? raise('layer worker asked for parents that it has') : result;
}

function raise(message: string): never {
  throw new InternalError(message);
}
