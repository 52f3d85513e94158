import { Readable } from 'node:stream';
import { formatTimestamp } from '../../base/clock.ts';
import { EngineError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Draft } from '../content/store.ts';
import type { ImageId } from '../oci/digest.ts';
import type { ImageConfig, Platform } from '../oci/image-spec.ts';
import { familiarString } from '../oci/reference.ts';
import type { UnpackedLayer } from '../storage/layers.ts';
import { applyChanges } from '../dockerfile/changes.ts';
import type { ImageContext } from './context.ts';
import { asLayer, compressionOf, layerMediaType } from './magic.ts';
import { ProgressMeter } from './progress.ts';
import type { ImageDocument } from './record.ts';
import { spoolStream, type SpooledBytes } from './archive/spool-file.ts';
import { nameForNew } from './tag.ts';
import { newImage, holdNew, writeImages } from './write.ts';
import type { Images } from './types.ts';

type ImportSource = Parameters<Images['importTar']>[0];
type ImportOptions = Parameters<Images['importTar']>[1];

/** Makes a one-layer image of a root file system. Everything that can be wrong with the words is found before the bytes. */
export async function importTar(context: ImageContext, from: ImportSource, options: ImportOptions): Promise<ImageId> {
  const name = nameForNew(options.repository, options.tag);
  const config = applyChanges(options.changes);
  const platform = options.platform ?? context.platform;
  if (platform.os !== 'linux') throw new InvalidArgumentError('operating system is not supported');
  const { source, description } =
    from instanceof Readable ? { source: from, description: '-' } : await download(context, from, options);
  await using draft = await context.content.draft();
  const blob = await store(draft, source, options.signal);
  // Says what cannot be unpacked before the unpacker tries.
  compressionOf(blob.head);
  const layer = await unpack(context, draft, options.signal);
  const created = formatTimestamp(context.clock.now());
  const comment = options.message === '' ? `Imported from ${description}` : options.message;
  const image = newImage(documentOf({ context, platform, config, created, comment, layer, blob }));
  const { id } = image;
  await using _held = await holdNew(context.collector, { layers: [layer.chainId], blobs: [id, blob.digest] });
  // An equal import that failed meanwhile has taken the layer with it.
  if ((await context.layers.stat(layer.chainId)) === null) await unpack(context, draft, options.signal);
  await draft.publish(blob);
  await writeImages(context, [image], { names: name === null ? [] : [name], signal: options.signal });
  if (name !== null) context.catalog.publish('tag', id, familiarString(name), image);
  context.catalog.publish('import', id, id, image);
  return id;
}

/** Tells of itself as it comes. */
async function download(
  { registry, clock }: ImageContext,
  { address }: Exclude<ImportSource, Readable>,
  { progress = () => undefined, signal }: ImportOptions,
): Promise<{ readonly source: Readable; readonly description: string }> {
  const file = await registry.fetchFile(address, signal);
  progress({ status: `Downloading from ${file.address}` });
  const meter = new ProgressMeter(progress, clock, { status: 'Importing', total: file.sizeBytes ?? 0 });
  const counted = async function* (): AsyncGenerator<Buffer> {
    let current = 0;
    for await (const chunk of file.body as AsyncIterable<Buffer>) {
      current += chunk.length;
      meter.update(current);
      yield chunk;
    }
  };
  const source = Readable.from(counted(), { objectMode: false });
  source.once('close', () => file.body.destroy());
  return { source, description: file.address };
}

async function store(draft: Draft, source: Readable, signal: AbortSignal): Promise<SpooledBytes> {
  const onAbort = (): void => void source.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await spoolStream(draft, await asLayer(source));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function unpack({ layers }: ImageContext, draft: Draft, signal: AbortSignal): Promise<UnpackedLayer> {
  try {
    return await layers.unpack({ blobPath: draft.path, parent: null, diffId: null, signal });
  } catch (error) {
    signal.throwIfAborted();
    const kind = error instanceof EngineError ? error.kind : 'internal';
    throw new EngineError(kind, messageOf(error), { cause: error });
  }
}

function documentOf(parts: {
  readonly context: ImageContext;
  readonly platform: Platform;
  readonly config: NonNullable<ImageConfig['config']>;
  readonly created: string;
  readonly comment: string;
  readonly layer: UnpackedLayer;
  readonly blob: SpooledBytes;
}): ImageDocument {
  const { context, platform, config, created, comment, layer, blob } = parts;
  const { variant } = platform;
  return {
    config: {
      architecture: platform.architecture,
      ...(variant === undefined || variant === '' ? {} : { variant }),
      os: platform.os,
      created,
      comment,
      docker_version: context.engineVersion,
      config,
      rootfs: { type: 'layers', diff_ids: [layer.diffId] },
      history: [{ created, comment }],
    },
    sizeBytes: layer.sizeBytes,
    layers: [{ chainId: layer.chainId, sizeBytes: layer.sizeBytes }],
    blobs: {
      manifest: null,
      layers: [{ digest: blob.digest, sizeBytes: blob.sizeBytes, mediaType: layerMediaType(blob.head) }],
    },
  };
}
