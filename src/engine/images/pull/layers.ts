/** The layers of a pull: each downloaded and unpacked on its own, all at once, shared with other pulls under way. */
import { createHash } from 'node:crypto';
import { DataLossError, EngineError, messageOf } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import type { Descriptor } from '../../oci/image-spec.ts';
import { canonicalName, type NamedReference } from '../../oci/reference.ts';
import type { RegistryAuth } from '../../registry/client.ts';
import type { UnpackedLayer } from '../../storage/layers.ts';
import type { ImageContext } from '../context.ts';
import { downloadBlob, type DownloadOptions } from './download.ts';
import type { Loss } from './losses.ts';
import { ProgressMeter } from '../progress.ts';
import type { SharedJobs } from '../shared-jobs.ts';

/** One layer: what the registry calls it, and what it becomes. */
export interface LayerPlan {
  readonly descriptor: Descriptor;
  readonly diffId: DiffId;
  readonly chainId: ChainId;
  readonly parent: ChainId | null;
}

export interface LayerOptions extends DownloadOptions {
  readonly sharedLayers: SharedJobs<UnpackedLayer>;
  /** Of layers that are there and have to be brought all the same. */
  readonly losses: ReadonlyMap<ChainId, Loss>;
}

/**
 * All layers at once: each is unpacked as soon as its bytes are there, also before its parent. The first failure stops
 * the others; all have ended when this returns.
 */
export async function bringLayers(
  context: ImageContext,
  reference: NamedReference,
  layers: readonly LayerPlan[],
  options: LayerOptions,
): Promise<readonly UnpackedLayer[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const present = await Promise.all(
    layers.map(async ({ chainId }) => (options.losses.has(chainId) ? null : context.layers.stat(chainId))),
  );
  const missing = layers.filter((_, index) => present[index] === null);
  const told = tellStanding(layers, present, options);
  using _coming = context.layers.announce(missing.map(({ chainId }) => chainId));
  const jobs = layers.map(async (layer, index) => {
    try {
      // The blob of a layer that an import or another registry brought is not fetched for its own sake.
      const progress = told.has(layer) ? options.progress : () => undefined;
      return present[index] ?? (await shareLayer(context, reference, layer, { ...options, progress, signal }));
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  const results = await Promise.allSettled(jobs);
  options.signal.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

/** Says of each layer whether it is there; returns those to come whose progress is told: of equal ones the first, as dockerd does. */
function tellStanding(
  layers: readonly LayerPlan[],
  present: readonly (UnpackedLayer | null)[],
  { progress }: LayerOptions,
): ReadonlySet<LayerPlan> {
  const told = new Map<string, LayerPlan>();
  for (const [index, layer] of layers.entries()) {
    const id = shortId(layer.descriptor.digest);
    if ((present[index] ?? null) !== null) {
      progress({ status: 'Already exists', id });
    } else if (!told.has(layer.descriptor.digest)) {
      told.set(layer.descriptor.digest, layer);
      progress({ status: 'Pulling fs layer', id });
    }
  }
  return new Set(told.values());
}

async function shareLayer(
  context: ImageContext,
  reference: NamedReference,
  layer: LayerPlan,
  { sharedLayers, losses, auth, progress, signal }: LayerOptions,
): Promise<UnpackedLayer> {
  return await sharedLayers.join(keyOf(reference, layer, auth), { progress, signal }, async (watcher) =>
    bringLayer(context, reference, layer, { auth, ...watcher, isTreeLost: losses.get(layer.chainId) === 'tree' }),
  );
}

/** Who may read another repository, or reads with other credentials, fetches for himself. Hashed, so that no password lies in a map's keys. */
function keyOf(reference: NamedReference, { descriptor, chainId }: LayerPlan, auth: RegistryAuth | null): string {
  const parts = [canonicalName(reference), descriptor, chainId, auth];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

async function bringLayer(
  context: ImageContext,
  reference: NamedReference,
  layer: LayerPlan,
  options: DownloadOptions & { readonly isTreeLost: boolean },
): Promise<UnpackedLayer> {
  const isFresh = await downloadBlob(context, reference, layer.descriptor, options);
  let unpacked: UnpackedLayer;
  try {
    unpacked = await unpack(context, layer, options);
  } catch (error) {
    options.signal.throwIfAborted();
    const isBad = error instanceof EngineError && (error.kind === 'data-loss' || error.kind === 'invalid-argument');
    if (isFresh || !isBad) throw error;
    // The blob lay here already and was verified when it came: the disk may have damaged it since.
    await downloadBlob(context, reference, layer.descriptor, { ...options, again: true });
    unpacked = await unpack(context, layer, options);
  }
  options.progress({ status: 'Pull complete', id: shortId(layer.descriptor.digest) });
  return unpacked;
}

async function unpack(
  { content, layers, clock }: ImageContext,
  { descriptor, parent, diffId }: LayerPlan,
  { progress, signal, isTreeLost }: DownloadOptions & { readonly isTreeLost: boolean },
): Promise<UnpackedLayer> {
  const { digest, size } = descriptor;
  const meter = new ProgressMeter(progress, clock, { status: 'Extracting', id: shortId(digest), total: size });
  try {
    const blobPath = await content.pathOf(digest);
    const unpacked = await layers.unpack({
      blobPath,
      parent,
      diffId,
      signal,
      again: isTreeLost,
      onProgress: (bytes) => meter.update(bytes),
    });
    meter.finish();
    return unpacked;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DataLossError) throw layersMismatch(error);
    const kind = error instanceof EngineError ? error.kind : 'internal';
    throw new EngineError(kind, `failed to register layer: ${messageOf(error)}`, { cause: error });
  }
}

/** Manifest, config and layers do not belong together. */
export function layersMismatch(cause?: unknown): DataLossError {
  return new DataLossError("layers from manifest don't match image configuration", { cause });
}
