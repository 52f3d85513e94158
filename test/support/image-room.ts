import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';
import type { Clock } from '../../src/base/clock.ts';
import { ConflictError, DataLossError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { FileContentStore } from '../../src/engine/content/file-store.ts';
import type { ContentStore } from '../../src/engine/content/store.ts';
import type { EngineEvent, Events } from '../../src/engine/events/types.ts';
import { createImages, type ImageRoom } from '../../src/engine/images/index.ts';
import type { ImageUsers, Progress } from '../../src/engine/images/types.ts';
import { chainIdsOf, digestOf, type ChainId, type DiffId, type ImageId } from '../../src/engine/oci/digest.ts';
import type { RegistryClient } from '../../src/engine/registry/client.ts';
import { Database } from '../../src/engine/state/database.ts';
import { LayerTable } from '../../src/engine/state/layers.ts';
import type { LayerStore, UnpackedLayer, UnpackRequest } from '../../src/engine/storage/layers.ts';
import type { CapturedLayer, CaptureRequest, LayerPacker, WrittenBlob } from '../../src/engine/storage/packing.ts';
import { FakeClock } from './fake-clock.ts';
import { MemoryRegistry } from './memory-registry.ts';
import { tarOf } from './tar-builder.ts';

/** Layers as rows only: checks the diff id like the real one, keeps no files. */
export class RowLayerStore implements LayerStore {
  readonly #table: LayerTable;
  /** Chain ids that a container stands on. */
  readonly held = new Set<ChainId>();
  /** Called before a layer is unpacked. */
  onUnpack: (request: UnpackRequest) => Promise<void> = async () => undefined;

  constructor(table: LayerTable) {
    this.#table = table;
  }

  async stat(chainId: ChainId): Promise<UnpackedLayer | null> {
    return this.#table.get(chainId);
  }

  async describe(chainId: ChainId): Promise<Readonly<Record<string, string>>> {
    return { UpperDir: `/layers/${chainId}` };
  }

  announce(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async unpack(request: UnpackRequest): Promise<UnpackedLayer> {
    await this.onUnpack(request);
    request.signal?.throwIfAborted();
    const tar = inflate(await readFile(request.blobPath));
    const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}` as DiffId;
    if (request.diffId !== null && request.diffId !== diffId) {
      throw new DataLossError(`invalid diffID for layer: expected "${request.diffId}", got "${diffId}"`);
    }
    request.onProgress?.(tar.length);
    const chainId = chainOf(request.parent, diffId);
    const layer = { chainId, parent: request.parent, diffId, sizeBytes: tar.length };
    await this.#parent(request);
    this.#table.insert(layer);
    return layer;
  }

  async remove(chainId: ChainId): Promise<void> {
    if (this.held.has(chainId) || this.#table.hasChildren(chainId))
      throw new ConflictError(`layer ${chainId} is in use`);
    this.#table.remove(chainId);
  }

  async sweep(): Promise<void> {}

  /** A child is there after its parent. */
  async #parent({ parent, signal }: UnpackRequest): Promise<void> {
    while (parent !== null && this.#table.get(parent) === null) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
  }
}

export interface TestRoom extends AsyncDisposable {
  readonly images: ImageRoom;
  readonly registry: MemoryRegistry;
  readonly layers: RowLayerStore;
  readonly layerTable: LayerTable;
  readonly content: ContentStore;
  readonly clock: FakeClock;
  readonly events: Omit<EngineEvent, 'time'>[];
  readonly database: Database;
  /** Containers, by image. */
  readonly containers: Map<ImageId, { readonly id: string; readonly running: boolean }[]>;
  /** Files below the content store, committed and not. */
  files(): Promise<{ readonly blobs: readonly string[]; readonly ingests: readonly string[] }>;
  /** Pulls and returns what was shown. */
  pull(reference: string, signal?: AbortSignal): Promise<readonly Progress[]>;
}

export interface TestRoomOptions {
  readonly registry?: RegistryClient;
  readonly clock?: Clock;
  readonly maxDownloadAttempts?: number;
  /** Stands before the content store, to make it fail. */
  readonly wrapContent?: (content: ContentStore) => ContentStore;
}

/** An image room on a temporary directory, with a registry in memory and layers without files. */
export async function makeImageRoom(options: TestRoomOptions = {}): Promise<TestRoom> {
  const directory = await mkdtemp(join(tmpdir(), 'moored-images-'));
  const database = Database.open(join(directory, 'state.db'));
  const store = await FileContentStore.open(join(directory, 'content'));
  const content = options.wrapContent?.(store) ?? store;
  const layerTable = new LayerTable(database, 'overlay2');
  const layers = new RowLayerStore(layerTable);
  const registry = new MemoryRegistry();
  const clock = new FakeClock();
  const events: Omit<EngineEvent, 'time'>[] = [];
  const containers: TestRoom['containers'] = new Map();
  const users: ImageUsers = { containersOf: (id) => containers.get(id) ?? [] };
  const images = createImages({
    database,
    content,
    layers,
    layerTable,
    packer: { compress: gzipFile, capture: async (request) => captureRow(layers, request) },
    registry: options.registry ?? registry,
    events: { publish: (event) => void events.push(event) } as Events,
    users,
    clock: options.clock ?? clock,
    logger: silentLogger,
    platform: { os: 'linux', architecture: 'amd64' },
    bestPlatform: { os: 'linux', architecture: 'amd64', variant: 'v3' },
    engineVersion: '1.2.3',
    limits: {
      maxConcurrentDownloads: 3,
      maxDownloadAttempts: options.maxDownloadAttempts ?? 5,
      maxConcurrentUploads: 5,
    },
  });
  return {
    images,
    registry,
    layers,
    layerTable,
    content,
    clock,
    events,
    database,
    containers,
    files: async () => ({
      blobs: await readdir(join(directory, 'content', 'blobs', 'sha256')),
      ingests: await readdir(join(directory, 'content', 'ingest')),
    }),
    pull: async (reference, signal = new AbortController().signal) => {
      const shown: Progress[] = [];
      const progress = (record: Progress): void => void shown.push(record);
      await images.pull(reference, { platform: null, auth: null, progress, signal });
      return shown;
    },
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What a terminal-less client prints of a pull, by layer: status texts in order without the bars. */
export function statusesOf(shown: readonly Progress[]): readonly string[] {
  return shown
    .filter(({ current }) => current === undefined)
    .map(({ status, id }) => (id === undefined ? (status ?? '') : `${id}: ${status ?? ''}`));
}

/** As a layer worker does it, without one. */
async function gzipFile(request: Parameters<LayerPacker['compress']>[0]): Promise<WrittenBlob> {
  const blob = gzipSync(await readFile(request.plainPath), { level: 1 });
  request.signal?.throwIfAborted();
  await writeFile(request.blobPath, blob);
  return { digest: digestOf(blob), sizeBytes: blob.length };
}

function chainOf(parent: ChainId | null, diffId: DiffId): ChainId {
  const [chainId] = chainIdsOf(parent === null ? [diffId] : [parent as string as DiffId, diffId]).slice(-1);
  if (chainId === undefined) throw new Error('no chain id');
  return chainId;
}

function inflate(blob: Buffer): Buffer {
  if (blob[0] === 0x1f && blob[1] === 0x8b) return gunzipSync(blob);
  if (blob.readUInt32BE(0) === 0x28b52ffd) return zstdDecompressSync(blob);
  return blob;
}

/** A container that has changed one file to what its name says; nothing when that is `unchanged`. */
async function captureRow(layers: RowLayerStore, request: CaptureRequest): Promise<CapturedLayer | null> {
  const { snapshot, parent, blobPath, signal } = request;
  await request.onTaken?.();
  if (snapshot === 'unchanged') return null;
  const blob = gzipSync(tarOf([{ name: 'changed', data: snapshot }]));
  await writeFile(blobPath, blob);
  const wanted = { blobPath, parent, diffId: null };
  const layer = await layers.unpack(signal === undefined ? wanted : { ...wanted, signal });
  return { ...layer, blob: { digest: digestOf(blob), sizeBytes: blob.length } };
}
