import type { Readable } from 'node:stream';
import { formatTimestamp } from '../../base/clock.ts';
import { EngineError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { digestOf, type ImageId } from '../oci/digest.ts';
import type { ImageConfig, Platform } from '../oci/image-spec.ts';
import { familiarString, withDefaultTag, type NamedReference } from '../oci/reference.ts';
import type { UnpackedLayer } from '../storage/layers.ts';
import { assertTaggable } from './catalog.ts';
import { applyChanges } from './changes/apply.ts';
import type { ImageContext } from './context.ts';
import { compressionOf, layerMediaType } from './magic.ts';
import type { ImageDocument } from './record.ts';
import { ingestStream, type SpooledFile } from './spool.ts';
import { nameToGive } from './tag.ts';
import type { Images } from './types.ts';

type ImportOptions = Parameters<Images['importTar']>[1];
type StoredBlob = Extract<SpooledFile, { kind: 'blob' }>;

/** Makes a one-layer image of a root file system. Everything that can be wrong with the words is found before the bytes. */
export async function importTar(context: ImageContext, source: Readable, options: ImportOptions): Promise<ImageId> {
  const name = nameOf(options.repository, options.tag);
  const config = applyChanges(options.changes);
  const platform = options.platform ?? context.platform;
  if (platform.os !== 'linux') throw new InvalidArgumentError('operating system is not supported');
  const blob = await store(context, source, options.signal);
  const blobPin = await context.collector.pin({ layers: [], blobs: [blob.digest] });
  let layer: UnpackedLayer | null = null;
  try {
    // Says what cannot be unpacked before the unpacker tries.
    compressionOf(blob.head);
    layer = await unpack(context, blob, options.signal);
    const created = formatTimestamp(context.clock.now());
    const comment = options.message === '' ? 'Imported from -' : options.message;
    const document = documentOf({ context, platform, config, created, comment, layer, blob });
    const bytes = Buffer.from(JSON.stringify(document.config));
    const id = digestOf(bytes);
    using _pin = await context.collector.pin({ layers: [layer.chainId], blobs: [digestOf(bytes)] });
    await context.content.put(bytes);
    options.signal.throwIfAborted();
    context.catalog.transaction(() => {
      context.catalog.add({ id, document }, [digestOf(bytes), blob.digest]);
      if (name !== null) context.catalog.setTag(id, name);
    });
    const image = { id, document };
    if (name !== null) context.catalog.publish('tag', id, familiarString(name), image);
    context.catalog.publish('import', id, id, image);
    return id;
  } finally {
    blobPin[Symbol.dispose]();
    // Takes nothing when the image was stored.
    await context.collector.collect({ layers: layer === null ? [] : [layer.chainId], blobs: [blob.digest] });
  }
}

function nameOf(repository: string | null, tag: string | null): NamedReference | null {
  if (repository === null || repository === '') return null;
  const name = nameToGive(repository, null);
  if (name.digest !== null) throw new InvalidArgumentError('cannot import digest reference');
  const full = withDefaultTag(nameToGive(repository, tag));
  assertTaggable(full);
  return full;
}

async function store({ content }: ImageContext, source: Readable, signal: AbortSignal): Promise<StoredBlob> {
  const onAbort = (): void => void source.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await ingestStream(content, source);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function unpack(
  { layers, content }: ImageContext,
  blob: StoredBlob,
  signal: AbortSignal,
): Promise<UnpackedLayer> {
  try {
    return await layers.unpack({ blobPath: await content.pathOf(blob.digest), parent: null, diffId: null, signal });
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
  readonly blob: StoredBlob;
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
