import { NotFoundError } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import { decodeRow, type ContainerRecord } from '../containers/record.ts';
import type { ContentStore } from '../content/store.ts';
import type { StoredImage } from '../images/catalog.ts';
import type { ImageStore } from '../images/index.ts';
import { blobsNamedIn } from '../images/layer-blobs.ts';
import type { ChainId, Digest, DiffId } from '../oci/digest.ts';
import { familiarString } from '../oci/reference.ts';
import type { ContainerRows } from '../state/containers.ts';
import type { Database } from '../state/database.ts';
import type { LayerTable } from '../state/layers.ts';
import type { VolumeRepository } from '../state/volumes.ts';
import type { LayerStore } from '../storage/layers.ts';
import type { KeptLimits, LayerUpkeep } from '../storage/mending.ts';
import type { CheckProgress, StoreCheckOptions, StoreFinding } from './types.ts';

/** One storage driver's layers. */
export interface DriverStore {
  /** The driver's name. */
  readonly name: string;
  readonly layers: LayerStore;
  readonly upkeep: LayerUpkeep;
  readonly layerTable: LayerTable;
}

/** That of a driver that was in use before, and still has layers or containers. */
export interface OtherStore extends Pick<DriverStore, 'name' | 'layerTable'> {
  /** ConflictError that says why the driver does not open. */
  open(): Promise<DriverStore>;
}

/** What the check looks at. `layers`, `upkeep` and `layerTable` are those of the driver in use. */
export interface StoreCheckDependencies extends DriverStore {
  readonly database: Database;
  readonly content: ContentStore;
  /** Asked for once a run. */
  readonly others: () => Promise<readonly OtherStore[]>;
  readonly images: ImageStore;
  readonly containers: Pick<ContainerRows, 'all'>;
  readonly volumes: Pick<VolumeRepository, 'list'>;
  /** Those of volumes, by the paths of their directories; asked for once a run. */
  readonly volumeLimits: () => Promise<KeptLimits | null>;
  /** Where containers and volumes have one directory each. */
  readonly directories: { readonly containers: string; readonly volumes: string };
  readonly clock: Clock;
  readonly logger: Logger;
  /** What of the host is in the containers' way; absent: nobody looks. */
  readonly hostFaults?: () => readonly HostFault[];
  /** Others work on the store meanwhile. */
  readonly isOnline: boolean;
}

/** Something of the host that only its administrator can mend. */
export type HostFault = Pick<StoreFinding, 'subject' | 'problem' | 'remedy'>;

/** A finding before anything is done about it. */
export interface Fault extends Pick<StoreFinding, 'kind' | 'subject' | 'problem'> {
  readonly sizeBytes?: number;
  /** What to do about it, or what `mend` would do. */
  readonly remedy: string;
  /** Does it and says what was done; `remains` when that does not make it whole. Null: nothing can be done here. */
  readonly mend: (() => Promise<{ readonly outcome: 'repaired' | 'remains'; readonly remedy: string }>) | null;
}

/** One run of the check: what its phases share. */
export class CheckRun {
  readonly needs: StoreCheckDependencies;
  readonly options: StoreCheckOptions;
  readonly findings: StoreFinding[] = [];
  readonly counts = { blobs: 0, blobBytes: 0, layers: 0, images: 0, containers: 0, volumes: 0 };
  /** Blobs that are there and are not what their digest says: as good as missing. */
  readonly badBlobs = new Set<Digest>();
  readonly #others: readonly OtherStore[];
  readonly #opened = new Map<string, Promise<DriverStore>>();

  constructor(needs: StoreCheckDependencies, options: StoreCheckOptions, others: readonly OtherStore[]) {
    this.needs = needs;
    this.options = options;
    this.#others = others;
  }

  /** The store of a driver. ConflictError that says why it does not open, NotFoundError where nothing is known of it. */
  async store(name: string): Promise<DriverStore> {
    if (name === this.needs.name) return this.needs;
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const other = this.#others.find((one) => one.name === name);
    if (other === undefined) throw new NotFoundError(`storage driver ${name} has nothing here`);
    const opening = other.open();
    this.#opened.set(name, opening);
    return opening;
  }

  /** All stores that open, that of the driver in use first. What stands on the others is told of the containers. */
  async stores(): Promise<readonly DriverStore[]> {
    const stores: DriverStore[] = [];
    for (const name of [this.needs.name, ...this.#others.map((other) => other.name)]) {
      const store = await this.store(name).catch(() => null);
      if (store !== null) stores.push(store);
    }
    return stores;
  }

  /** True when a driver that is not in use has the layer. */
  isElsewhere(chainId: ChainId): boolean {
    return this.#others.some(({ layerTable }) => layerTable.get(chainId) !== null);
  }

  progress(phase: CheckProgress['phase'], done: number, total: number): void {
    this.options.signal.throwIfAborted();
    this.options.onProgress?.({ phase, done, total });
  }

  /** Notes a fault, and mends it when that is wanted. */
  async report({ mend, ...fault }: Fault): Promise<void> {
    this.options.signal.throwIfAborted();
    const result =
      this.options.repair && mend !== null
        ? await mend()
        : ({ outcome: this.options.repair ? 'remains' : 'found', remedy: fault.remedy } as const);
    const finding: StoreFinding = { sizeBytes: 0, ...fault, ...result };
    this.findings.push(finding);
    const { kind, subject, problem, outcome, remedy } = finding;
    const text = `store: ${kind} ${subject}: ${problem}`;
    const fields = { kind, subject, outcome, remedy };
    if (outcome === 'repaired') this.needs.logger.info(text, { ...fields, message: 'store-repaired' });
    else this.needs.logger.warn(text, { ...fields, message: 'store-damaged' });
    this.options.onFinding?.(finding);
  }

  /** Images that can be read. */
  images(): readonly StoredImage[] {
    return this.needs.images.catalog.all();
  }

  /** Containers that can be read, with what says why others cannot. */
  containers(): readonly (ContainerRecord | { readonly id: string; readonly unreadable: string })[] {
    return this.needs.containers.all().map((row) => {
      try {
        return decodeRow(row);
      } catch (error) {
        return { id: row.id, unreadable: (error as Error).message };
      }
    });
  }

  /** A blob that unpacks to a layer with this diff id and is what it should be; null when none is there. */
  async blobFor(diffId: DiffId): Promise<Digest | null> {
    for (const { document } of this.images()) {
      for (const [id, { digest }] of blobsNamedIn(document)) {
        if (id === diffId && (await this.hasBlob(digest))) return digest;
      }
    }
    return null;
  }

  async hasBlob(digest: Digest): Promise<boolean> {
    return !this.badBlobs.has(digest) && (await this.needs.content.stat(digest)) !== null;
  }

  /** Marks images that lack something. */
  mark(images: readonly StoredImage[], subject: Digest | ChainId, kind: 'blob' | 'layer'): void {
    const { upkeep } = this.needs.images;
    for (const { id } of images) upkeep.addFlaw({ imageId: id, subject, kind });
  }

  /** What people call an image. */
  nameOf({ id }: StoredImage): string {
    const [name] = this.needs.images.catalog.referencesTo(id);
    return name === undefined ? id : familiarString(name);
  }
}
