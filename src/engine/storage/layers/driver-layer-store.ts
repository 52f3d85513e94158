/**
 * Layers on a storage driver: the driver keeps the trees, the `layer` table says which of them are complete. A layer is
 * there when its row is; a snapshot without one is a leftover that the next unpack or {@link LayerStore.sweep} removes.
 */
import { randomBytes } from 'node:crypto';
import { ConflictError, DataLossError, EngineError, InternalError, NotFoundError } from '../../../base/errors.ts';
import { KeyedLock } from '../../../base/keyed-lock.ts';
import type { Logger } from '../../../base/logger.ts';
import { Undo } from '../../../base/undo.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Mount } from '../../oci/mount.ts';
import { chainIdOn, type ChainId, type DiffId } from '../../oci/digest.ts';
import type { LayerRow, LayerTable } from '../../state/layers.ts';
import { isBare, isDescribable, type BareLayerDriver, type StorageDriver } from '../driver.ts';
import type { LayerStore, UnpackedLayer, UnpackRequest } from '../layers.ts';
import { isMendable } from '../mending.ts';
import { MountedTrees } from '../mounted-trees.ts';
import { Arrivals } from './arrivals.ts';
import type { UnpackJob, UnpackResult } from './job.ts';
import { layerFault, processingError } from './layer-fault.ts';
import { SharedSync } from './shared-sync.ts';
import type { LayerWorkers } from './workers.ts';

/** Active snapshots of layers being unpacked. */
export const EXTRACT_PREFIX = 'extract-';

/** Options of {@link DriverLayerStore}. */
export interface LayerStoreOptions {
  readonly driver: StorageDriver;
  readonly layers: LayerTable;
  readonly workers: LayerWorkers;
  readonly kernel: Kernel;
  /** Where trees are mounted that must be; made when missing. */
  readonly mountRoot: string;
  readonly logger: Logger;
}

export class DriverLayerStore implements LayerStore {
  /** How trees of the driver's are reached. */
  readonly trees: MountedTrees;
  readonly #driver: StorageDriver;
  readonly #layers: LayerTable;
  readonly #options: LayerStoreOptions;
  /** Tells this engine's keys from those of an earlier one. */
  readonly #own = randomBytes(4).toString('hex');
  readonly #lock = new KeyedLock<ChainId>();
  readonly #arrivals = new Arrivals();
  readonly #sync: SharedSync;
  /** Keys of trees being written, and of layers whose rows come next. */
  readonly #writing = new Set<string>();

  constructor(options: LayerStoreOptions) {
    this.#driver = options.driver;
    this.#layers = options.layers;
    this.#options = options;
    const { driver, kernel, mountRoot } = options;
    this.trees = new MountedTrees({ driver, mounts: kernel.mounts, mountRoot });
    this.#sync = new SharedSync(async (path) => options.kernel.mounts.syncFilesystem(path));
  }

  async stat(chainId: ChainId): Promise<UnpackedLayer | null> {
    const row = this.#layers.get(chainId);
    return row === null ? null : unpacked(row);
  }

  async describe(chainId: ChainId): Promise<Readonly<Record<string, string>>> {
    return isDescribable(this.#driver) ? this.#driver.describe(chainId, null) : {};
  }

  announce(chainIds: readonly ChainId[]): Disposable {
    return this.#arrivals.expect(chainIds);
  }

  async unpack(request: UnpackRequest): Promise<UnpackedLayer> {
    request.signal?.throwIfAborted();
    if (request.diffId === null) return this.#unpackNew(request, null);
    const chainId = chainIdOn(request.parent, request.diffId);
    const existing = this.#layers.get(chainId);
    if (existing !== null && request.again !== true) return unpacked(existing);
    using _ = this.#arrivals.expect([chainId]);
    return await this.#inTurn(chainId, request.signal, async () => {
      const meanwhile = this.#layers.get(chainId);
      const isWanted = meanwhile === null || request.again === true;
      return isWanted ? this.#unpackNew(request, request.diffId) : unpacked(meanwhile);
    });
  }

  /**
   * Settles when all that was written so far below the driver's root is on the disk; `path` is somewhere there, or, if
   * `isMounted`, in a file system of its own.
   */
  async writeOut(path: string, isMounted = false): Promise<void> {
    try {
      await this.#syncOf(path, isMounted);
    } catch (error) {
      throw layerFault('sync', '', error);
    }
  }

  /** Makes a layer of an active snapshot on `parent` that somebody else has written; the snapshot is used up. */
  async admit(
    key: string,
    {
      parent,
      diffId,
      sizeBytes,
    }: { readonly parent: ChainId | null; readonly diffId: DiffId; readonly sizeBytes: number },
  ): Promise<UnpackedLayer> {
    const row: LayerRow = { chainId: chainIdOn(parent, diffId), parent, diffId, sizeBytes };
    return Undo.guard((undo) => this.#lock.hold(row.chainId, async () => this.#commit(key, row, undo)));
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
        // What has gone, and only could not be deleted (a full disk), must not be taken for a layer.
        if ((await this.#driver.stat(chainId)) !== null) this.#layers.insert(row);
        throw error;
      }
    });
  }

  async sweep(): Promise<void> {
    await this.trees.sweep();
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

  /** A key for a snapshot of somebody's work here. What an earlier engine left of these is swept. */
  newKey(): string {
    return `${EXTRACT_PREFIX}${this.#own}-${randomBytes(8).toString('hex')}`;
  }

  /** True while a tree is or may be written under this key: none for a check to take away. */
  isWriting(key: string): boolean {
    return this.#writing.has(key) || key.startsWith(`${EXTRACT_PREFIX}${this.#own}-`);
  }

  /** Writes a layer into a new active snapshot and checks it; what becomes of that is the caller's. Errors as unpack's. */
  async write(key: string, request: UnpackRequest): Promise<UnpackResult> {
    const { diffId } = request;
    this.#writing.add(key);
    try {
      const bare = isBare(this.#driver) ? this.#driver : null;
      const result = bare === null ? await this.#writeTree(key, request) : await this.#writeBare(bare, key, request);
      for (const warning of result.warnings) this.#options.logger.warn(warning, { blob: request.blobPath });
      if (diffId === null || result.diffId === diffId) return result;
      throw new DataLossError(`invalid diffID for layer: expected "${diffId}", got "${result.diffId}"`);
    } finally {
      this.#writing.delete(key);
    }
  }

  async #unpackNew(request: UnpackRequest, diffId: DiffId | null): Promise<UnpackedLayer> {
    const key = this.newKey();
    return Undo.guard(async (undo) => {
      undo.defer(async () => this.#driver.remove(key));
      const result = await this.write(key, request);
      const row: LayerRow = {
        chainId: chainIdOn(request.parent, result.diffId as DiffId),
        parent: request.parent,
        diffId: result.diffId as DiffId,
        sizeBytes: result.sizeBytes,
      };
      if (request.again === true && (await this.#isThere(row.chainId))) return this.#replace(key, row);
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
    this.#writing.add(row.chainId);
    try {
      await this.#driver.commit(key, row.chainId);
      undo.defer(async () => this.#driver.remove(row.chainId));
      // Once for its files, its description and its name.
      await this.#makeDurable(this.#driver.root);
      this.#layers.insert(row);
    } finally {
      this.#writing.delete(row.chainId);
    }
    this.#arrivals.wake(row.chainId);
    return unpacked(row);
  }

  /** What children and containers stand on gets another tree under them. */
  async #replace(key: string, row: LayerRow): Promise<UnpackedLayer> {
    if (!isMendable(this.#driver)) throw new InternalError(`storage driver ${this.#driver.name} replaces no layers`);
    await this.#driver.replace(key, row.chainId);
    // Where only its row was lost.
    this.#layers.insert(row);
    return unpacked(row);
  }

  async #isThere(chainId: ChainId): Promise<boolean> {
    return this.#layers.get(chainId) !== null || (await this.#driver.stat(chainId)) !== null;
  }

  /** overlay2: the layer alone is written at once; its parent is needed when it is complete. */
  async #writeBare(driver: BareLayerDriver, key: string, request: UnpackRequest): Promise<UnpackResult> {
    const options = { sizeBytes: request.sizeBytes ?? null };
    await driver.prepare(key, null, options);
    const { path, whiteouts } = await driver.layerRoot(key);
    const job: UnpackJob = { kind: 'unpack', blobPath: request.blobPath, root: path, form: whiteouts };
    const result = await this.#run(job, request);
    await this.#parentIsThere(request);
    if (result === 'needs-parents') {
      await driver.remove(key);
      const written = await this.#writeInto(key, await driver.prepare(key, request.parent, options), request);
      const { sizeBytes } = await driver.usage(key);
      return { ...written, sizeBytes };
    }
    if (request.parent !== null) await driver.adopt(key, request.parent);
    return result;
  }

  /** Drivers whose snapshots are whole trees: the parent comes first. */
  async #writeTree(key: string, request: UnpackRequest): Promise<UnpackResult> {
    await this.#parentIsThere(request);
    const mounts = await this.#driver.prepare(key, request.parent, { sizeBytes: request.sizeBytes ?? null });
    return this.#writeInto(key, mounts, request);
  }

  /** Writes into a snapshot's whole tree, mounted where it has to be. */
  async #writeInto(key: string, mounts: readonly Mount[], request: UnpackRequest): Promise<UnpackResult> {
    return Undo.guard(async (undo) => {
      const { root, isMounted } = await this.trees.hold(key, undo, { access: 'write', mounts });
      const job: UnpackJob = { kind: 'unpack', blobPath: request.blobPath, root, form: 'tree' };
      const result = settled(await this.#run(job, request, isMounted));
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      return result;
    });
  }

  /** `isMounted`: the job's root is a file system of its own. */
  async #run(job: UnpackJob, request: UnpackRequest, isMounted = false): Promise<UnpackResult | 'needs-parents'> {
    const outcome = await this.#options.workers.run(job, { onProgress: request.onProgress, signal: request.signal });
    switch (outcome.kind) {
      case 'done':
        // What lies on the driver's own is written out when it is committed.
        if (isMounted) await this.#makeDurable(job.root, isMounted);
        return outcome.result;
      case 'needs-parents':
        return 'needs-parents';
      case 'failed':
        throw processingError(outcome.error, outcome.message);
      case 'cancelled':
        return raise('layer worker stopped unasked');
    }
  }

  /** A layer is durable when it is committed; syncing its thousands of files one by one would take ten times as long. */
  async #makeDurable(root: string, isMounted = false): Promise<void> {
    try {
      await this.#syncOf(root, isMounted);
    } catch (error) {
      const fault = layerFault('sync', '', error);
      throw fault instanceof EngineError ? processingError(fault.kind, fault.message) : fault;
    }
  }

  async #syncOf(path: string, isMounted: boolean): Promise<void> {
    await (isMounted ? this.#options.kernel.mounts.syncFilesystem(path) : this.#sync.done(path));
  }

  /** Waits while the parent is on its way. */
  async #parentIsThere({ parent, signal }: UnpackRequest): Promise<void> {
    while (parent !== null && this.#layers.get(parent) === null) {
      if (!this.#arrivals.isExpected(parent)) throw new NotFoundError(`layer ${parent} does not exist`);
      await this.#arrivals.changed(parent, signal);
    }
  }
}

function unpacked({ chainId, diffId, sizeBytes }: LayerRow): UnpackedLayer {
  return { chainId, diffId, sizeBytes };
}

/** A tree form never asks for parents: they are in the tree. */
function settled(result: UnpackResult | 'needs-parents'): UnpackResult {
  return result === 'needs-parents' ? raise('layer worker asked for parents that it has') : result;
}

function raise(message: string): never {
  throw new InternalError(message);
}
