import { Gate } from '../../../base/gate.ts';
import { Undo } from '../../../base/undo.ts';
import type { DiffId, Digest } from '../../oci/digest.ts';
import { isBare, isLimiting, type BareLayerDriver, type SnapshotUsage, type StorageDriver } from '../driver.ts';
import type { TreeMeter } from '../measuring.ts';
import type { CapturedLayer, CaptureRequest, LayerPacker, TreeChange, WrittenBlob } from '../packing.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { compress } from './compress/compress.ts';
import type { DriverLayerStore } from './driver-layer-store.ts';
import type { DifferenceSource, JobResults, LayerJob, PackResult } from './job.ts';
import { WorkerTreeMeter } from './measure/worker-tree-meter.ts';
import { readable } from './tar/entry.ts';
import { runTreeJob } from './tree-job.ts';
import type { JobOptions, LayerWorkers } from './workers.ts';

/** Options of {@link DriverLayerPacker}. */
export interface LayerPackerOptions {
  readonly driver: StorageDriver;
  readonly layers: DriverLayerStore;
  readonly workers: LayerWorkers;
  /** Workers of their own: one that waits for a slow reader must not keep layers waiting. */
  readonly streamers: LayerWorkers;
  /** Measures with `workers` unless given. */
  readonly meter?: TreeMeter;
}

/** Trees that are mounted at a time to be measured. */
const MEASURED_AT_A_TIME = 8;

/** From a driver's snapshots to layers. */
export class DriverLayerPacker implements LayerPacker {
  readonly #options: LayerPackerOptions;
  readonly #meter: TreeMeter;
  readonly #measuring = new Gate(MEASURED_AT_A_TIME);

  constructor(options: LayerPackerOptions) {
    this.#options = options;
    this.#meter = options.meter ?? new WorkerTreeMeter(options.workers);
  }

  async capture(request: CaptureRequest): Promise<CapturedLayer | null> {
    request.signal?.throwIfAborted();
    if (request.isSpent === true) {
      const spent = await this.#captureSpent(request);
      if (spent !== 'unfit') return spent;
    }
    const { driver } = this.#options;
    // A layer with other times than its tree is one that was unpacked.
    const isPlain = (request.latestTime ?? null) === null;
    return isBare(driver) && isPlain ? this.#captureBare(driver, request) : this.#captureTree(request);
  }

  async changes(
    snapshot: string,
    { scaffold, signal }: { readonly scaffold: readonly string[]; readonly signal?: AbortSignal },
  ): Promise<readonly TreeChange[]> {
    return this.#withSource(snapshot, async (tree) => {
      const differences = await this.#run({ kind: 'compare', source: { ...tree, scaffold } }, { signal });
      return differences.map(({ path, kind }) => ({ path: `/${readable(path)}`, kind }));
    });
  }

  async *contents(
    snapshot: string,
    options: { readonly scaffold?: readonly string[]; readonly signal?: AbortSignal },
  ): AsyncGenerator<Buffer, void, void> {
    const undo = new Undo();
    let isDone = false;
    try {
      yield* this.#stream(await this.#rootOf(snapshot, undo), options);
      isDone = true;
    } finally {
      const [failure] = await undo.rollBack();
      if (isDone && failure !== undefined) throw failure as Error;
    }
  }

  async *#stream(
    { root, parents }: Pick<DifferenceSource, 'root' | 'parents'>,
    { scaffold = [], signal }: { readonly scaffold?: readonly string[]; readonly signal?: AbortSignal },
  ): AsyncGenerator<Buffer, void, void> {
    const queue = new ChunkQueue();
    const leave = new AbortController();
    const job = { kind: 'stream', root, parents, scaffold, waiting: queue.waiting } as const;
    const options = {
      signal: signal === undefined ? leave.signal : AbortSignal.any([signal, leave.signal]),
      onChunk: (chunk: Uint8Array) => queue.push(chunk),
    };
    const done = this.#run(job, options, this.#options.streamers).finally(() => queue.end());
    // Awaited at the end, whichever way.
    done.catch(() => undefined);
    try {
      yield* queue.drain();
      await done;
    } finally {
      leave.abort(new Error('nobody reads any more'));
      await done.catch(() => undefined);
    }
  }

  async usage(snapshot: string, except: readonly string[] = []): Promise<SnapshotUsage> {
    const { driver } = this.#options;
    if (isBare(driver)) {
      const { path: root } = await driver.layerRoot(snapshot);
      return this.#meter.measure({ root, parent: null, except });
    }
    using _place = await this.#measuring.enter();
    return await this.#withSource(snapshot, async ({ root, parents: [parent = null] }) =>
      this.#meter.measure({ root, parent, except }),
    );
  }

  /** Packs all that a snapshot changed, also the engine's own, into an existing file, and makes nothing of it. */
  async pack(
    snapshot: string,
    blobPath: string,
    signal: AbortSignal,
  ): Promise<Pick<PackResult, 'members' | 'sockets'> & { readonly diffId: DiffId; readonly blob: WrittenBlob }> {
    const packed = await this.#withSource(snapshot, async (tree) =>
      this.#run({ kind: 'pack', source: { ...tree, scaffold: [] }, blobPath }, { signal }),
    );
    const { members, sockets } = packed;
    return { diffId: packed.diffId as DiffId, members, sockets, blob: blobOf(packed) };
  }

  async compress(request: Parameters<LayerPacker['compress']>[0]): Promise<WrittenBlob> {
    return compress(this.#options.workers, request);
  }

  /** The tree itself becomes the layer, unless it cannot. */
  async #captureSpent(request: CaptureRequest): Promise<CapturedLayer | null | 'unfit'> {
    const { snapshot, parent, blobPath, scaffold, latestTime = null, signal } = request;
    const { driver, layers } = this.#options;
    if (isLimiting(driver) && (await driver.isLimited(snapshot))) return 'unfit';
    const packed = await Undo.guard(async (undo) => {
      const { isMounted, ...tree } = await this.#sourceOf(snapshot, undo, 'write');
      const result = await this.#run(
        { kind: 'spend', source: { ...tree, scaffold }, blobPath, latestTime },
        { signal },
      );
      if (isMounted && result !== null && result.members > 0) await layers.writeOut(tree.root, isMounted);
      // A driver lets go of what it holds before it commits.
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      return result;
    });
    if (packed === null) return 'unfit';
    await request.onTaken?.();
    if (packed.members === 0) return null;
    const { diffId, sizeBytes } = packed;
    const layer = await layers.admit(snapshot, { parent, diffId: diffId as DiffId, sizeBytes });
    return { ...layer, blob: blobOf(packed) };
  }

  /** overlay2: the changes are copied, which is quick; then the container may go on and the copy is packed. */
  async #captureBare(driver: BareLayerDriver, request: CaptureRequest): Promise<CapturedLayer | null> {
    const { snapshot, parent, blobPath, scaffold, signal } = request;
    const { layers } = this.#options;
    const from = (await driver.layerRoot(snapshot)).path;
    const parents = await driver.parentRoots(snapshot);
    const key = layers.newKey();
    return Undo.guard(async (undo) => {
      undo.defer(async () => driver.remove(key));
      await driver.prepare(key, parent);
      const to = (await driver.layerRoot(key)).path;
      await this.#run({ kind: 'take', from, to, parents, scaffold }, { signal });
      await request.onTaken?.();
      // The disk gets the copy while the blob is made.
      const early = layers.writeOut(to);
      early.catch(() => undefined);
      const packed = await this.#run({ kind: 'pack', source: { form: 'layer', root: to }, blobPath }, { signal });
      if (packed.members === 0) {
        await driver.remove(key);
        return null;
      }
      await early;
      const { diffId, sizeBytes } = packed;
      const layer = await layers.admit(key, { parent, diffId: diffId as DiffId, sizeBytes });
      return { ...layer, blob: blobOf(packed) };
    });
  }

  /** Drivers of whole trees: what differs from the parent is packed and unpacked again onto a copy of it. */
  async #captureTree(request: CaptureRequest): Promise<CapturedLayer | null> {
    const { snapshot, parent, blobPath, scaffold, latestTime = null, signal } = request;
    const packed = await this.#withSource(snapshot, async (tree) =>
      this.#run({ kind: 'pack', source: { ...tree, scaffold }, blobPath, latestTime }, { signal }),
    );
    await request.onTaken?.();
    if (packed.members === 0) return null;
    const wanted = { blobPath, parent, diffId: packed.diffId as DiffId };
    const layer = await this.#options.layers.unpack(signal === undefined ? wanted : { ...wanted, signal });
    return { ...layer, blob: blobOf(packed) };
  }

  /** What a snapshot is, and what it stands on, in directories that are there while `job` runs. */
  async #withSource<T>(snapshot: string, job: (source: Omit<DifferenceSource, 'scaffold'>) => Promise<T>): Promise<T> {
    return Undo.guard(async (undo) => {
      const { isMounted: _, ...source } = await this.#sourceOf(snapshot, undo);
      const result = await job(source);
      const [failure] = await undo.rollBack();
      if (failure !== undefined) throw failure as Error;
      return result;
    });
  }

  async #sourceOf(
    snapshot: string,
    undo: Undo,
    access: 'read' | 'write' = 'read',
  ): Promise<Omit<DifferenceSource, 'scaffold'> & { readonly isMounted: boolean }> {
    const { driver } = this.#options;
    const tree = await this.#rootOf(snapshot, undo, access);
    if (isBare(driver)) return { form: 'overlay', ...tree };
    const parent = (await driver.stat(snapshot))?.parent ?? null;
    const parents = parent === null ? [] : [(await this.#rootOf(parent, undo)).root];
    return { form: 'tree', ...tree, parents };
  }

  /** A snapshot's own directory with those of its parents, or, of a driver of whole trees, all of it. */
  async #rootOf(
    snapshot: string,
    undo: Undo,
    access: 'read' | 'write' = 'read',
  ): Promise<Pick<DifferenceSource, 'root' | 'parents'> & { readonly isMounted: boolean }> {
    const { driver, layers } = this.#options;
    if (isBare(driver)) {
      const { path: root } = await driver.layerRoot(snapshot);
      return { root, parents: await driver.parentRoots(snapshot), isMounted: false };
    }
    return { ...(await layers.trees.hold(snapshot, undo, { access })), parents: [] };
  }

  async #run<Job extends LayerJob>(
    job: Job,
    options: JobOptions,
    workers = this.#options.workers,
  ): Promise<JobResults[Job['kind']]> {
    return runTreeJob(workers, job, options);
  }
}

function blobOf({ blob }: PackResult): CapturedLayer['blob'] {
  return { digest: blob.digest as Digest, sizeBytes: blob.sizeBytes };
}
