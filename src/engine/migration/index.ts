/** The room that moves everything from one storage driver to another; types.ts has its words. */
import { isDeepStrictEqual } from 'node:util';
import { ConflictError, DataLossError, messageOf, NotFoundError } from '../../base/errors.ts';
import { Undo } from '../../base/undo.ts';
import type { ContentStore } from '../content/store.ts';
import { decodeRow, encodeDocument, isPassing, sizeAskedFor, type ContainerRecord } from '../containers/record.ts';
import type { ImageCatalog } from '../images/catalog.ts';
import { blobsNamedIn } from '../images/layer-blobs.ts';
import type { ChainId, Digest, DiffId } from '../oci/digest.ts';
import type { ContainerRow, ContainerRows } from '../state/containers.ts';
import type { LayerRow } from '../state/layers.ts';
import type { MovedContainer, StorageSide } from '../storage/moving.ts';
import { roomNeeded, tooLittleRoom } from './room.ts';
import type { MigrationOptions, MigrationReport, MigrationStep, StoreMigration } from './types.ts';

/** What the migration works with. */
export interface MigrationDependencies {
  readonly target: StorageSide;
  /** Names of all drivers that have layers or containers, but the target. */
  readonly sources: readonly string[];
  /** Opens a source. ConflictError that says why it cannot be. */
  readonly open: (name: string) => Promise<StorageSide>;
  readonly catalog: Pick<ImageCatalog, 'all'>;
  readonly content: Pick<ContentStore, 'stat' | 'pathOf' | 'draft' | 'unfinished' | 'dropUnfinished'>;
  readonly containers: Pick<ContainerRows, 'all' | 'setDocument'>;
  /** Mount points below the containers' directories. */
  readonly mounted: () => readonly string[];
  /** Called when nothing is left with the sources. */
  readonly onMoved: (target: string) => void;
  /** Returns when all that the state file was told is on the disk. */
  readonly makeLasting: () => void;
}

/** Makes the room. */
export function createMigration(dependencies: MigrationDependencies): StoreMigration {
  return { run: async (options) => new Migration(dependencies, options).run() };
}

class Migration {
  readonly #needs: MigrationDependencies;
  readonly #options: MigrationOptions;
  readonly #blobs: ReadonlyMap<DiffId, readonly Digest[]>;
  readonly #sources: StorageSide[] = [];
  readonly #counts = { layers: 0, containers: 0, failures: 0 };
  /** Layers that could not be moved, with the reason: said once, not once a layer or container on top. */
  readonly #lost = new Map<ChainId, string>();

  constructor(needs: MigrationDependencies, options: MigrationOptions) {
    this.#needs = needs;
    this.#options = options;
    this.#blobs = blobsByDiffId(needs.catalog);
  }

  async run(): Promise<MigrationReport> {
    const { target, sources, mounted, onMoved } = this.#needs;
    const [busy] = mounted();
    if (busy !== undefined) {
      throw new ConflictError(`containers run, or are still mounted (${busy}): stop them, and then the engine`);
    }
    await this.#dropDrafts();
    await target.settle();
    for (const name of sources) await this.#openSource(name);
    if (!this.#options.force) await this.#demandRoom();
    for (const { document } of this.#needs.catalog.all()) {
      for (const [index, { chainId, sizeBytes }] of document.layers.entries()) {
        const diffId = document.config.rootfs.diff_ids[index];
        const parent = document.layers[index - 1]?.chainId ?? null;
        if (diffId !== undefined) await this.#moveLayer({ chainId, parent, diffId, sizeBytes });
      }
    }
    for (const row of this.#needs.containers.all()) await this.#moveContainer(row);
    if (this.#counts.failures === 0) onMoved(target.name);
    if (this.#options.removeOld) for (const source of this.#sources) await this.#removeOld(source);
    return this.#counts;
  }

  /** Those of a run that was killed: as large as what it was packing, and nobody else is at the store. */
  async #dropDrafts(): Promise<void> {
    const { content } = this.#needs;
    for (const { name, isHeld, isResumable } of await content.unfinished()) {
      if (!isHeld && !isResumable) await content.dropUnfinished(name);
    }
  }

  /** What stands on one that does not open is told when its turn comes. */
  async #openSource(name: string): Promise<void> {
    try {
      const source = await this.#needs.open(name);
      await source.settle();
      this.#sources.push(source);
    } catch (error) {
      this.#tell({ kind: 'old-data', subject: name, outcome: 'kept', detail: messageOf(error) });
    }
  }

  /** Before anything is written: a disk that is full in the middle of it helps nobody. */
  async #demandRoom(): Promise<void> {
    const { target } = this.#needs;
    const room = await target.room();
    const containers = this.#needs.containers.all().map((row) => ({ id: row.id, driver: storageDriverOf(row) }));
    const needed = await roomNeeded({ sources: this.#sources, targetLayers: target.layers(), containers }, room);
    if (needed > room.freeBytes) throw new ConflictError(tooLittleRoom(target.name, needed, room.freeBytes));
  }

  /** False when it cannot be had; its parent comes first. */
  async #moveLayer(row: LayerRow): Promise<boolean> {
    this.#options.signal.throwIfAborted();
    const { target } = this.#needs;
    if (target.layer(row.chainId) !== null) return true;
    if (this.#lost.has(row.chainId)) return false;
    const step = { kind: 'layer', subject: row.chainId } as const;
    try {
      if (row.parent !== null && target.layer(row.parent) === null) {
        throw new NotFoundError(`the layer below it, ${row.parent}, could not be moved`);
      }
      const detail = await this.#makeLayer(row);
      this.#counts.layers += 1;
      this.#tell({ ...step, outcome: 'moved', detail });
      return true;
    } catch (error) {
      this.#options.signal.throwIfAborted();
      this.#lost.set(row.chainId, messageOf(error));
      this.#fail({ ...step, detail: messageOf(error) });
      return false;
    }
  }

  /** Returns how it was made. */
  async #makeLayer(row: LayerRow): Promise<string> {
    const { content, target } = this.#needs;
    const { signal } = this.#options;
    let problem = 'neither a blob nor a driver has its files: pull the image again';
    for (const digest of this.#blobs.get(row.diffId) ?? []) {
      if ((await content.stat(digest)) === null) continue;
      try {
        await target.unpack(row, await content.pathOf(digest), signal);
        return 'unpacked from its blob';
      } catch (error) {
        // A blob that the disk has damaged: there is still the tree.
        if (!(error instanceof DataLossError)) throw error;
        problem = messageOf(error);
      }
    }
    for (const source of this.#sources) {
      if (source.layer(row.chainId) === null) continue;
      await using draft = await content.draft();
      const packed = await source.pack(row.chainId, draft.path, signal);
      await target.adoptLayer(row, { ...packed, blobPath: draft.path }, signal);
      return `copied from ${source.name}`;
    }
    throw new NotFoundError(problem);
  }

  async #moveContainer(row: ContainerRow): Promise<void> {
    this.#options.signal.throwIfAborted();
    const { target } = this.#needs;
    const step = { kind: 'container', subject: row.name } as const;
    try {
      const record = decodeRow(row);
      const { storageDriver } = record.document;
      // Half made or half removed: the next start of the engine takes it away.
      if (storageDriver === target.name || isPassing(record.live)) return;
      const source = this.#sources.find(({ name }) => name === storageDriver);
      if (source === undefined) throw new ConflictError(`storage driver ${storageDriver} does not open`);
      await this.#copyContainer(record, source);
      this.#counts.containers += 1;
      this.#tell({ ...step, outcome: 'moved', detail: `from ${source.name}` });
    } catch (error) {
      this.#options.signal.throwIfAborted();
      this.#fail({ ...step, detail: messageOf(error) });
    }
  }

  async #copyContainer({ id, document }: ContainerRecord, source: StorageSide): Promise<void> {
    const { target, containers } = this.#needs;
    const stood = await source.container(id);
    if (stood === null) throw new NotFoundError('its files are gone: remove it and make it again');
    await this.#layersUpTo(stood.parent, source);
    await Undo.guard(async (undo) => {
      await this.#copyChanges({ id, parent: stood.parent, sizeBytes: sizeAskedFor(document) }, source, undo);
      containers.setDocument(id, encodeDocument({ ...document, storageDriver: target.name }));
    });
  }

  async #copyChanges(
    { id, ...moved }: Pick<ContainerRecord, 'id'> & Pick<MovedContainer, 'parent' | 'sizeBytes'>,
    source: StorageSide,
    undo: Undo,
  ): Promise<void> {
    const { target, content } = this.#needs;
    const { signal } = this.#options;
    await using draft = await content.draft();
    const changes = await source.pack(id, draft.path, signal);
    // Half a copy would take room from those that come next, and from an engine that goes on with the old driver.
    undo.defer(async () => target.dropContainer(id));
    await target.adoptContainer(id, { ...moved, blobPath: draft.path, changes }, signal);
    await using again = await content.draft();
    const { diffId, sockets } = await target.pack(id, again.path, signal);
    if (diffId !== changes.diffId) {
      throw new DataLossError(`what was written differs from what was read (${diffId}, ${changes.diffId})`);
    }
    if (!isDeepStrictEqual(sockets, changes.sockets)) {
      throw new DataLossError('the sockets that were made differ from those that were found');
    }
  }

  /** Those of an image that is gone are known to the source alone. */
  async #layersUpTo(top: ChainId | null, source: StorageSide): Promise<void> {
    const rows: LayerRow[] = [];
    for (let at = top; at !== null && this.#needs.target.layer(at) === null;) {
      const row = source.layer(at);
      if (row === null) throw new NotFoundError(`layer ${at}, on which it stands, is missing`);
      rows.unshift(row);
      at = row.parent;
    }
    for (const row of rows) {
      if (!(await this.#moveLayer(row)))
        throw new NotFoundError(`layer ${row.chainId}, on which it stands, did not move`);
    }
  }

  async #removeOld(source: StorageSide): Promise<void> {
    const step = { kind: 'old-data', subject: source.name } as const;
    const needed = this.#needs.containers.all().filter((row) => storageDriverOf(row) !== this.#needs.target.name);
    if (this.#counts.failures > 0 || needed.some((row) => storageDriverOf(row) === source.name)) {
      this.#tell({ ...step, outcome: 'kept', detail: 'not everything could be moved' });
      return;
    }
    // A machine that loses its power must not come up with rows that still name what is deleted.
    this.#needs.makeLasting();
    const count = await source.removeAll(this.#options.signal);
    this.#tell({ ...step, outcome: 'removed', detail: `${String(count)} layers and containers` });
  }

  #fail(step: Omit<MigrationStep, 'outcome'>): void {
    this.#counts.failures += 1;
    this.#tell({ ...step, outcome: 'failed' });
  }

  #tell(step: MigrationStep): void {
    this.#options.onStep?.(step);
  }
}

function blobsByDiffId(catalog: MigrationDependencies['catalog']): ReadonlyMap<DiffId, readonly Digest[]> {
  const blobs = new Map<DiffId, Digest[]>();
  for (const { document } of catalog.all()) {
    for (const [diffId, { digest }] of blobsNamedIn(document)) {
      const known = blobs.get(diffId);
      if (known === undefined) blobs.set(diffId, [digest]);
      else if (!known.includes(digest)) known.push(digest);
    }
  }
  return blobs;
}

/** Null where the row cannot be read. */
function storageDriverOf(row: ContainerRow): string | null {
  try {
    return decodeRow(row).document.storageDriver;
  } catch {
    return null;
  }
}
