/**
 * The layers of one pushed image: asked for, mounted or sent, several at a time over all pushes, and each only once
 * however many clients push it. Progress in Docker's words, by short diff id, the topmost layer first.
 */
import { NotFoundError } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import type { DiffId } from '../../oci/digest.ts';
import type { Descriptor, Platform } from '../../oci/image-spec.ts';
import { canonicalName, type NamedReference } from '../../oci/reference.ts';
import type { BlobArrival, RegistryAuth } from '../../registry/client.ts';
import { mountSources } from './mount-sources.ts';
import type { StoredImage } from '../catalog.ts';
import { compressLayer, isPlain } from './compress-layer.ts';
import type { ImageContext } from '../context.ts';
import { holdBlobs, lostLayer } from '../layer-blobs.ts';
import { ProgressMeter } from '../progress.ts';
import { isForeign, type OriginalManifest } from '../manifest.ts';
import type { LayerBlob, ProgressSink } from '../types.ts';

export interface PushOptions {
  readonly platform: Platform | null;
  readonly auth: RegistryAuth | null;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** What is pushed. */
export interface PushSource {
  readonly image: StoredImage;
  readonly original: OriginalManifest | null;
  /** Kept blobs, one a layer, lowest first. */
  readonly held: readonly (LayerBlob | null)[];
}

interface LayerToPush {
  readonly diffId: DiffId;
  /** What the image's own manifest says of it. */
  readonly own: Descriptor | null;
  readonly blob: LayerBlob | null;
  /** What to say when there is no blob. */
  readonly lost: string;
}

/** Brings all layers to the registry; as what they lie there, lowest first. The first failure stops the others. */
export async function pushLayers(
  context: ImageContext,
  reference: NamedReference,
  source: PushSource,
  options: PushOptions,
): Promise<readonly Descriptor[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const layers = source.image.document.config.rootfs.diff_ids.map((diffId, index): LayerToPush => ({
    diffId,
    own: source.original?.manifest.layers[index] ?? null,
    blob: source.held[index] ?? null,
    lost: lostLayer(context, source.image.id, diffId),
  }));
  for (const { diffId } of layers.toReversed()) options.progress({ status: 'Preparing', id: shortId(diffId) });
  // An image may hold the same layer twice.
  const jobs = new Map<DiffId, Promise<Descriptor>>();
  for (const layer of layers.toReversed()) {
    if (jobs.has(layer.diffId)) continue;
    const job = pushLayer(context, reference, layer, { ...options, signal });
    job.catch((error: unknown) => stop.abort(error));
    jobs.set(layer.diffId, job);
  }
  await Promise.allSettled(jobs.values());
  options.signal.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  const byDiffId = new Map<DiffId, Descriptor>();
  for (const [diffId, job] of jobs) byDiffId.set(diffId, await job);
  return layers.flatMap(({ diffId }) => byDiffId.get(diffId) ?? []);
}

async function pushLayer(
  context: ImageContext,
  reference: NamedReference,
  layer: LayerToPush,
  options: PushOptions,
): Promise<Descriptor> {
  const { own, diffId } = layer;
  const id = shortId(diffId);
  if (own !== null && isForeign(own)) {
    options.progress({ status: 'Skipped foreign layer', id });
    return own;
  }
  // Who comes second finds the layer there.
  const key = `${canonicalName(reference)} ${diffId}`;
  const job = async (): Promise<Descriptor> => {
    if (context.uploads.isFull) options.progress({ status: 'Waiting', id });
    using _place = await context.uploads.enter(options.signal);
    return await bringLayer(context, reference, layer, options);
  };
  return await context.uploadLock.hold(key, job, options.signal);
}

async function bringLayer(
  context: ImageContext,
  reference: NamedReference,
  { own, blob, diffId, lost }: LayerToPush,
  options: PushOptions,
): Promise<Descriptor> {
  const { auth, signal, progress } = options;
  const id = shortId(diffId);
  if (own !== null && blob?.digest !== own.digest) {
    // Its own blob is not kept, but may be at the registry: then the image stays what it was.
    const mountFrom = mountSources(context, own.digest, reference);
    const arrival = await context.registry.offerBlob(reference, own.digest, { auth, signal, mountFrom });
    if (arrival !== null) {
      progress({ status: statusOf(arrival), id });
      return own;
    }
  }
  if (blob === null) {
    throw new NotFoundError(`${lost}, and the registry does not have it: pull or load the image again`);
  }
  const isToCompress = own === null && isPlain(blob);
  const sent = isToCompress ? await compressLayer(context, blob, diffId, options) : blob;
  await using _kept = await holdBlobs(context, [sent.digest]);
  const meter = new ProgressMeter(progress, context.clock, { status: 'Pushing', id, total: sent.sizeBytes });
  let lastSent = 0;
  const arrival = await context.registry.pushBlob(
    reference,
    { ...sent, open: async (offset) => context.content.open(sent.digest, { offset }) },
    {
      auth,
      signal,
      mountFrom: mountSources(context, sent.digest, reference),
      onProgress: (sentBytes) => meter.update((lastSent = sentBytes)),
      onWait: (seconds) => progress({ status: `Retrying in ${String(seconds)} second${seconds === 1 ? '' : 's'}`, id }),
    },
  );
  if (lastSent > 0) meter.finish();
  progress({ status: statusOf(arrival), id });
  return {
    mediaType: own?.digest === sent.digest ? own.mediaType : sent.mediaType,
    digest: sent.digest,
    size: sent.sizeBytes,
  };
}

function statusOf(arrival: BlobArrival): string {
  switch (arrival.kind) {
    case 'uploaded':
      return 'Pushed';
    case 'existed':
      return 'Layer already exists';
    case 'mounted':
      return `Mounted from ${arrival.from}`;
  }
}
