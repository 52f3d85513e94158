import { Undo } from '../../../base/undo.ts';
import type { ChainId } from '../../oci/digest.ts';
import type {
  DirectoryRequest,
  FoundSource,
  MergeRequest,
  OpenTree,
  PlaceRequest,
  SurveyRequest,
  TreeBuilder,
} from '../building.ts';
import type { StorageDriver } from '../driver.ts';
import type { CapturedLayer } from '../packing.ts';
import { isNumeric } from './build/owners.ts';
import type { DriverLayerPacker } from './driver-layer-packer.ts';
import type { DriverLayerStore } from './driver-layer-store.ts';
import { runTreeJob } from './tree-job.ts';
import type { LayerWorkers } from './workers.ts';

/** Options of {@link DriverTreeBuilder}. */
export interface TreeBuilderOptions {
  readonly driver: StorageDriver;
  readonly layers: DriverLayerStore;
  readonly packer: DriverLayerPacker;
  readonly workers: LayerWorkers;
}

/**
 * {@link TreeBuilder} by layer workers, on snapshots of their own. Their keys are those of layers being unpacked: what a
 * killed engine leaves goes with them.
 */
export class DriverTreeBuilder implements TreeBuilder {
  readonly #options: TreeBuilderOptions;

  constructor(options: TreeBuilderOptions) {
    this.#options = options;
  }

  async open(top: ChainId): Promise<OpenTree> {
    return Undo.guard(async (undo) => {
      const held = new Undo();
      undo.defer(async () => {
        await held.rollBack();
      });
      const root = await this.#view(top, held);
      return { root, [Symbol.asyncDispose]: async () => end(held) };
    });
  }

  async survey(request: SurveyRequest, signal: AbortSignal): Promise<readonly (readonly FoundSource[])[]> {
    return runTreeJob(this.#options.workers, { kind: 'survey', request }, { signal });
  }

  async place(request: PlaceRequest): Promise<CapturedLayer | null> {
    const { parent, isIndependent, blobPath, signal, ...words } = request;
    const { workers, packer, layers } = this.#options;
    return this.#withSnapshot(isIndependent ? null : parent, async ({ key, root }, undo) => {
      const namesRoot = isIndependent ? await this.#namesOf(request, undo) : null;
      await runTreeJob(workers, { kind: 'place', request: words, root, namesRoot }, { signal });
      await end(undo);
      if (!isIndependent) return this.#capture(key, request);
      const { members, diffId, blob } = await packer.pack(key, blobPath, signal);
      return members === 0 ? null : { ...(await layers.unpack({ blobPath, parent, diffId, signal })), blob };
    });
  }

  async makeDirectory(request: DirectoryRequest): Promise<CapturedLayer | null> {
    const { parent, path, owner, latestTime, signal } = request;
    return this.#withSnapshot(parent, async ({ key, root }, undo) => {
      const job = { kind: 'make-directory', root, path, owner, latestTime } as const;
      const isNew = await runTreeJob(this.#options.workers, job, { signal });
      await end(undo);
      return isNew ? this.#capture(key, request) : null;
    });
  }

  async merge(request: MergeRequest): Promise<CapturedLayer | null> {
    const { parent, blobPaths, latestTime, signal } = request;
    const { workers } = this.#options;
    return this.#withSnapshot(parent, async ({ key, root }, undo) => {
      for (const blobPath of blobPaths)
        await runTreeJob(workers, { kind: 'unpack', blobPath, root, form: 'tree' }, { signal });
      await end(undo);
      return this.#capture(key, request, latestTime);
    });
  }

  /** Runs `job` on a new snapshot's tree. The job ends its holds by `undo`; the snapshot goes unless it is a layer by then. */
  async #withSnapshot<T>(
    parent: ChainId | null,
    job: (tree: { readonly key: string; readonly root: string }, undo: Undo) => Promise<T>,
  ): Promise<T> {
    const { driver, layers } = this.#options;
    const key = layers.newKey();
    return within(async (snapshot) => {
      snapshot.defer(async () => driver.remove(key));
      const mounts = await driver.prepare(key, parent);
      return within(async (undo) => {
        const { root } = await layers.trees.hold(key, undo, { access: 'write', mounts });
        return job({ key, root }, undo);
      });
    });
  }

  /** Names of owners are the parent's, whatever else is not seen of it. */
  async #namesOf({ parent, owner }: PlaceRequest, undo: Undo): Promise<string | null> {
    const asksParent = parent !== null && owner !== null && !isNumeric(owner);
    return asksParent ? this.#view(parent, undo) : null;
  }

  async #view(top: ChainId, undo: Undo): Promise<string> {
    const { driver, layers } = this.#options;
    const key = layers.newKey();
    undo.defer(async () => driver.remove(key));
    const mounts = await driver.view(key, top);
    return (await layers.trees.hold(key, undo, { access: 'read', mounts })).root;
  }

  async #capture(
    snapshot: string,
    { parent, blobPath, signal }: Pick<PlaceRequest, 'parent' | 'blobPath' | 'signal'>,
    latestTime: number | null = null,
  ): Promise<CapturedLayer | null> {
    const words = { parent, blobPath, scaffold: [], isSpent: true, latestTime, signal };
    return this.#options.packer.capture({ snapshot, ...words });
  }
}

/** Runs a job and takes back what it has set up, whichever way it ends. */
async function within<T>(job: (undo: Undo) => Promise<T>): Promise<T> {
  return Undo.guard(async (undo) => {
    const result = await job(undo);
    await end(undo);
    return result;
  });
}

async function end(undo: Undo): Promise<void> {
  const [failure] = await undo.rollBack();
  if (failure !== undefined) throw failure as Error;
}
