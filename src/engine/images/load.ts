import type { Readable } from 'node:stream';
import { DataLossError, EngineError, messageOf } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import { chainIdsOf, digestOf, type ChainId, type Digest, type DiffId, type ImageId } from '../oci/digest.ts';
import { canonicalName, familiarString } from '../oci/reference.ts';
import type { UnpackedLayer } from '../storage/layers.ts';
import { imagesOf, type ArchivedImage } from './archive-images.ts';
import type { ImageContext } from './context.ts';
import { layerMediaType } from './magic.ts';
import { ProgressMeter } from './progress.ts';
import type { ImageDocument } from './record.ts';
import { SpooledArchive, type SpooledFile } from './spool.ts';
import type { ProgressSink } from './types.ts';

export interface LoadOptions {
  readonly quiet: boolean;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** A layer as a blob of the content store. */
interface LayerBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

/** Loads every image of an archive; each becomes visible by itself, whole. */
export async function loadImages(
  context: ImageContext,
  source: Readable,
  options: LoadOptions,
): Promise<readonly ImageId[]> {
  using pins = new DisposableStack();
  const spooled: Digest[] = [];
  try {
    const archive = await SpooledArchive.read(context.content, source, {
      signal: options.signal,
      onBlob: async (digest) => {
        spooled.push(digest);
        pins.use(await context.collector.pin({ layers: [], blobs: [digest] }));
      },
    });
    let named = 0;
    const loaded: ImageId[] = [];
    for (const image of imagesOf(archive, context.platform)) {
      await loadImage(context, image, options);
      for (const name of image.names) options.progress({ stream: `Loaded image: ${familiarString(name)}\n` });
      named += image.names.length;
      loaded.push(image.id);
      context.catalog.publish('load', image.id, image.id, context.catalog.get(image.id));
    }
    if (named === 0) options.progress({ stream: loaded.map((id) => `Loaded image ID: ${id}\n`).join('') });
    return loaded;
  } finally {
    pins.dispose();
    // What no image took: files that belong to none, and everything when the archive was broken.
    await context.collector.collect({ layers: [], blobs: spooled });
  }
}

async function loadImage(context: ImageContext, image: ArchivedImage, options: LoadOptions): Promise<void> {
  const chainIds = chainIdsOf(image.layers.map(({ diffId }) => diffId));
  const blobs = await Promise.all(image.layers.map(async ({ file }) => storeLayer(context, file)));
  const manifest = image.manifestBytes === null ? null : (await context.content.put(image.manifestBytes)).digest;
  const { digest: configDigest } = await context.content.put(image.configBytes);
  const needed = [configDigest, ...(manifest === null ? [] : [manifest]), ...blobs.map(({ digest }) => digest)];
  const candidates = { layers: chainIds, blobs: needed };
  let isStored = false;
  const pin = await context.collector.pin(candidates);
  try {
    const layers: UnpackedLayer[] = [];
    for (const [index, { diffId }] of image.layers.entries()) {
      const [blob, parent] = [blobs[index], chainIds[index - 1] ?? null];
      if (blob === undefined) continue;
      layers.push(await unpackLayer(context, { blob, diffId, parent, index }, options));
    }
    const document: ImageDocument = {
      config: image.config,
      sizeBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      layers: layers.map(({ chainId, sizeBytes }) => ({ chainId, sizeBytes })),
      blobs: { manifest, layers: blobs },
    };
    context.catalog.transaction(() => {
      context.catalog.add({ id: image.id, document }, needed);
      nameImage(context, image, options.progress);
    });
    isStored = true;
  } finally {
    pin[Symbol.dispose]();
    if (!isStored) await context.collector.collect(candidates);
  }
}

async function unpackLayer(
  { layers, content, clock }: ImageContext,
  layer: { readonly blob: LayerBlob; readonly diffId: DiffId; readonly parent: ChainId | null; readonly index: number },
  { quiet, progress, signal }: LoadOptions,
): Promise<UnpackedLayer> {
  signal.throwIfAborted();
  const { blob, diffId, parent } = layer;
  const chainId = chainIdOf(parent, diffId);
  const present = await layers.stat(chainId);
  if (present !== null) return present;
  const record = { status: 'Loading layer', id: shortId(diffId), total: blob.sizeBytes };
  const meter = new ProgressMeter(quiet ? () => undefined : progress, clock, record);
  try {
    const unpacked = await layers.unpack({
      blobPath: await content.pathOf(blob.digest),
      parent,
      diffId,
      signal,
      onProgress: (bytes) => meter.update(bytes),
    });
    meter.finish();
    return unpacked;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DataLossError) {
      const got = error.message.replace(/^.*, got /, '');
      throw new DataLossError(`invalid diffID for layer ${String(layer.index)}: expected "${diffId}", got ${got}`);
    }
    const kind = error instanceof EngineError ? error.kind : 'internal';
    throw new EngineError(kind, messageOf(error), { cause: error });
  }
}

/** Small layers of the archive lie in memory until here. */
async function storeLayer({ content }: ImageContext, file: SpooledFile): Promise<LayerBlob> {
  if (file.kind === 'blob') {
    return { digest: file.digest, sizeBytes: file.sizeBytes, mediaType: layerMediaType(file.head) };
  }
  const { digest, sizeBytes } = await content.put(file.bytes);
  return { digest, sizeBytes, mediaType: layerMediaType(file.bytes) };
}

/** Points the archive's names at the image; says so where a name leaves another image. */
function nameImage({ catalog }: ImageContext, image: ArchivedImage, progress: ProgressSink): void {
  for (const reference of image.names) {
    const previous = catalog.tables.imageTagged(canonicalName(reference), reference.tag ?? 'latest');
    if (previous !== null && previous !== image.id) {
      progress({
        stream:
          `The image ${familiarString(reference)} already exists, renaming the old one with ID ${previous} ` +
          'to empty string\n',
      });
    }
    catalog.setTag(image.id, reference);
  }
}

function chainIdOf(parent: ChainId | null, diffId: DiffId): ChainId {
  return (parent === null ? diffId : digestOf(`${parent} ${diffId}`)) as string as ChainId;
}
