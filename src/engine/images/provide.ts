/**
 * Images belong to the engine, unpacked layers to a storage driver: after a change of driver an image has its blobs, and
 * no trees. They are unpacked when something is first to stand on them.
 */
import { EngineError, messageOf, NotFoundError } from '../../base/errors.ts';
import { familiarString } from '../oci/reference.ts';
import type { StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import { holdLayerBlobs, lostLayer } from './layer-blobs.ts';

type Needs = Pick<ImageContext, 'catalog' | 'collector' | 'content' | 'layers' | 'upkeep' | 'logger'>;

/**
 * Sees to it that all layers of an image are unpacked. NotFoundError when the blob of one is gone: `docker run` then
 * pulls the image and tries again. Errors as the layer store's.
 */
export async function provideLayers(context: Needs, ref: string, signal?: AbortSignal): Promise<void> {
  const image = context.catalog.lookUp(ref);
  const layers = image.document.layers.map(({ chainId }) => chainId);
  const top = layers.at(-1);
  // One is never there without those that it stands on.
  if (top === undefined || (await context.layers.stat(top)) !== null) return;
  {
    using _pin = await context.collector.pin({ layers, blobs: [] });
    await unpackMissing(context, image, signal);
  }
  // Takes nothing unless the image was removed meanwhile.
  if (context.catalog.get(image.id) === null) await context.collector.collect({ layers, blobs: [] });
}

async function unpackMissing(context: Needs, image: StoredImage, given: AbortSignal | undefined): Promise<void> {
  const { layers: store, content, logger } = context;
  const { layers, config } = image.document;
  await using held = await holdLayerBlobs(context, image.document);
  const missing = await Promise.all(layers.map(async ({ chainId }) => (await store.stat(chainId)) === null));
  const work = layers.flatMap(({ chainId }, index) => {
    const diffId = config.rootfs.diff_ids[index];
    if (missing[index] !== true || diffId === undefined) return [];
    const blob = held.blobs[index] ?? null;
    if (blob === null) throw nothingToUnpack(context, image, lostLayer(context, image.id, diffId));
    return [{ chainId, diffId, blob, parent: layers[index - 1]?.chainId ?? null }];
  });
  logger.info('unpacking layers that the storage driver does not have', { image: image.id, layers: work.length });
  using _coming = store.announce(work.map(({ chainId }) => chainId));
  const stop = new AbortController();
  const signal = given === undefined ? stop.signal : AbortSignal.any([given, stop.signal]);
  // All at once, also before their parents; the first failure ends the others.
  const jobs = work.map(async ({ diffId, blob, parent }) => {
    try {
      await store.unpack({ blobPath: await content.pathOf(blob.digest), parent, diffId, signal });
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(jobs);
  given?.throwIfAborted();
  if (stop.signal.aborted) throw failed(context, image, stop.signal.reason);
}

function nothingToUnpack(context: Needs, image: StoredImage, why: string): NotFoundError {
  return new NotFoundError(
    `image ${nameOf(context, image)} is not unpacked for the storage driver in use, and ${why}: pull it again`,
  );
}

function failed(context: Needs, image: StoredImage, cause: unknown): EngineError {
  const kind = cause instanceof EngineError ? cause.kind : 'internal';
  const text = `image ${nameOf(context, image)} could not be unpacked for the storage driver in use: ${messageOf(cause)}`;
  return new EngineError(kind, text, { cause });
}

function nameOf({ catalog }: Needs, { id }: StoredImage): string {
  const [name] = catalog.referencesTo(id);
  return name === undefined ? id : familiarString(name);
}
