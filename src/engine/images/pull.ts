/**
 * Pull: name → manifest → config → layers, each downloaded, verified and unpacked on its own, and in the end one
 * transaction that makes the image visible with its names. Until then nothing can be seen of it; when it fails, what
 * was unpacked or completed is taken away, and half a layer stays for the next attempt to resume.
 */
import { DataLossError, EngineError, InvalidArgumentError, messageOf, NotFoundError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import { chainIdsOf, digestOf, type ChainId, type DiffId, type ImageId } from '../oci/digest.ts';
import { MediaType, type Descriptor, type ImageConfig, type Manifest, type Platform } from '../oci/image-spec.ts';
import { familiarName, familiarString, type NamedReference } from '../oci/reference.ts';
import type { RegistryAuth, ResolvedManifest } from '../registry/client.ts';
import { schema1Error } from '../registry/failures.ts';
import { parseConfig, parseIndex, parseManifest } from '../registry/wire.ts';
import type { UnpackedLayer } from '../storage/layers.ts';
import type { StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import { downloadBlob, type DownloadOptions } from './download.ts';
import { chooseManifest } from './platforms.ts';
import { ProgressMeter } from './progress.ts';
import type { ImageDocument } from './record.ts';
import type { ProgressSink } from './types.ts';

export interface PullOptions {
  readonly platform: Platform | null;
  readonly auth: RegistryAuth | null;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** One layer: what the registry calls it, and what it becomes. */
interface LayerPlan {
  readonly descriptor: Descriptor;
  readonly diffId: DiffId;
  readonly chainId: ChainId;
  readonly parent: ChainId | null;
}

/** One image of one platform, ready to be brought in. */
interface ImagePlan {
  readonly id: ImageId;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  readonly manifest: ResolvedManifest;
  readonly layers: readonly LayerPlan[];
}

/** Configs are small; a hostile one ends here. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** Pulls what `reference` names: a tag, a digest, or without either all tags of the repository, one after another. */
export async function pullImage(
  context: ImageContext,
  reference: NamedReference,
  options: PullOptions,
): Promise<StoredImage> {
  const isAllTags = reference.tag === null && reference.digest === null;
  const wanted = isAllTags ? await allTags(context, reference, options) : [reference];
  let pulled: StoredImage | null = null;
  let isNewer = false;
  for (const one of wanted) {
    const { image, isNew } = await pullOne(context, one, options);
    pulled = image;
    isNewer ||= isNew;
  }
  if (pulled === null) throw new NotFoundError(`repository ${familiarName(reference)} has no tags`);
  const verdict = isNewer ? 'Downloaded newer image for' : 'Image is up to date for';
  options.progress({ status: `Status: ${verdict} ${familiarString(reference)}` });
  context.catalog.publish('pull', familiarString(reference), familiarName(reference), pulled);
  return pulled;
}

async function allTags(
  { registry }: ImageContext,
  reference: NamedReference,
  { auth, signal }: PullOptions,
): Promise<readonly NamedReference[]> {
  return (await registry.tags(reference, { auth, signal })).map((tag) => ({ ...reference, tag }));
}

async function pullOne(
  context: ImageContext,
  reference: NamedReference,
  options: PullOptions,
): Promise<{ readonly image: StoredImage; readonly isNew: boolean }> {
  const { progress } = options;
  const announce = (): void =>
    progress({
      status: `Pulling from ${reference.path}`,
      id: reference.digest === null ? (reference.tag ?? 'latest') : familiarString(reference),
    });
  const top = await resolve(context, reference, options, announce);
  announce();
  const manifest = await selectManifest(context, reference, top, options);
  const { image, isNew } = await obtain(context, reference, manifest, {
    ...options,
    name: (stored) => giveNames(context, reference, top, stored),
  });
  progress({ status: `Digest: ${top.descriptor.digest}` });
  return { image, isNew };
}

async function resolve(
  { registry }: ImageContext,
  reference: NamedReference,
  { auth, signal }: PullOptions,
  announce: () => void,
): Promise<ResolvedManifest> {
  try {
    return await registry.resolve(reference, { auth, signal });
  } catch (error) {
    // dockerd has begun its stream when it finds that a manifest is not what was asked for.
    if (error instanceof DataLossError && error.message.startsWith('manifest verification failed')) announce();
    throw error;
  }
}

/** The manifest of one platform: the one that was named, or the index's choice. */
async function selectManifest(
  { registry, platform }: ImageContext,
  reference: NamedReference,
  top: ResolvedManifest,
  options: PullOptions,
): Promise<ResolvedManifest> {
  const { auth, signal } = options;
  const { mediaType } = top.descriptor;
  if (mediaType === MediaType.dockerManifest || mediaType === MediaType.ociManifest) return top;
  if (mediaType === MediaType.dockerManifestList || mediaType === MediaType.ociIndex) {
    const chosen = chooseManifest(parseIndex(top.bytes), options.platform ?? platform);
    return await registry.fetchManifest(reference, chosen.digest, { auth, signal });
  }
  if (mediaType.startsWith(MediaType.dockerSchema1)) throw schema1Error(reference);
  if (mediaType === MediaType.dockerSchema1Signed) throw schema1Error(reference);
  throw new InvalidArgumentError(`unsupported manifest media type: ${mediaType}`);
}

/** The image of a manifest: the one that is there, or brought in. Its names come with it in one transaction. */
async function obtain(
  context: ImageContext,
  reference: NamedReference,
  manifest: ResolvedManifest,
  options: PullOptions & { readonly name: (image: StoredImage) => boolean },
): Promise<{ readonly image: StoredImage; readonly isNew: boolean }> {
  const parsed = parseManifest(manifest.bytes);
  const existing = context.catalog.get(parsed.config.digest);
  if (existing !== null) return { image: existing, isNew: options.name(existing) };
  const plan = await planImage(context, reference, manifest, parsed, options);
  const candidates = {
    layers: plan.layers.map(({ chainId }) => chainId),
    blobs: [plan.id, manifest.descriptor.digest, ...plan.layers.map(({ descriptor }) => descriptor.digest)],
  };
  let isStored = false;
  const pin = await context.collector.pin(candidates);
  try {
    const layers = await bringLayers(context, reference, plan, options);
    const document = documentOf(plan, layers);
    await context.content.put(plan.configBytes);
    await context.content.put(manifest.bytes);
    options.signal.throwIfAborted();
    const image = { id: plan.id, document };
    const isNew = context.catalog.transaction(() => {
      context.catalog.add(image, candidates.blobs);
      return options.name(image);
    });
    isStored = true;
    return { image, isNew };
  } finally {
    pin[Symbol.dispose]();
    if (!isStored) await context.collector.collect(candidates);
  }
}

async function planImage(
  context: ImageContext,
  reference: NamedReference,
  manifest: ResolvedManifest,
  parsed: Manifest,
  options: PullOptions,
): Promise<ImagePlan> {
  const configBytes = await fetchConfig(context, reference, parsed.config, options);
  const config = parseConfig(configBytes);
  if (config.os !== 'linux') {
    throw new InvalidArgumentError(`image operating system "${config.os}" cannot be used on this platform`);
  }
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== parsed.layers.length) throw mismatch();
  const chainIds = chainIdsOf(diffIds);
  const layers = parsed.layers.map((descriptor, index): LayerPlan => {
    const [diffId, chainId] = [diffIds[index], chainIds[index]];
    if (diffId === undefined || chainId === undefined) throw mismatch();
    return { descriptor, diffId, chainId, parent: chainIds[index - 1] ?? null };
  });
  return { id: parsed.config.digest, config, configBytes, manifest, layers };
}

async function fetchConfig(
  { registry }: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  { auth, signal }: PullOptions,
): Promise<Buffer> {
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of (await registry.fetchBlob(reference, descriptor, 0, {
      auth,
      signal,
    })) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_CONFIG_BYTES)
        throw new DataLossError(`image config is larger than ${String(MAX_CONFIG_BYTES)} bytes`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (digestOf(bytes) === descriptor.digest) return bytes;
    throw new DataLossError(`image config verification failed for digest ${descriptor.digest}`);
  } catch (error) {
    signal.throwIfAborted();
    const kind = error instanceof EngineError ? error.kind : 'unavailable';
    throw new EngineError(kind, `error pulling image configuration: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * All layers at once: each is unpacked as soon as its bytes are there, also before its parent. The first failure stops
 * the others; all have ended when this returns.
 */
async function bringLayers(
  context: ImageContext,
  reference: NamedReference,
  plan: ImagePlan,
  options: PullOptions,
): Promise<readonly UnpackedLayer[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const present = await Promise.all(plan.layers.map(async ({ chainId }) => context.layers.stat(chainId)));
  for (const [index, { descriptor }] of plan.layers.entries()) {
    const status = present[index] === null ? 'Pulling fs layer' : 'Already exists';
    options.progress({ status, id: shortId(descriptor.digest) });
  }
  const missing = plan.layers.filter((_, index) => present[index] === null);
  using _coming = context.layers.announce(missing.map(({ chainId }) => chainId));
  const jobs = plan.layers.map(async (layer, index) => {
    try {
      return await bringLayer(context, reference, layer, present[index] ?? null, { ...options, signal });
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

async function bringLayer(
  context: ImageContext,
  reference: NamedReference,
  layer: LayerPlan,
  present: UnpackedLayer | null,
  options: DownloadOptions,
): Promise<UnpackedLayer> {
  const { descriptor } = layer;
  // The blob of a layer that an import or another registry brought is not fetched for its own sake.
  if (present !== null) return present;
  await downloadBlob(context, reference, descriptor, options);
  const id = shortId(descriptor.digest);
  const meter = new ProgressMeter(options.progress, context.clock, {
    status: 'Extracting',
    id,
    total: descriptor.size,
  });
  const unpacked = await unpack(context, layer, meter, options.signal);
  meter.finish();
  options.progress({ status: 'Pull complete', id });
  return unpacked;
}

async function unpack(
  { content, layers }: ImageContext,
  { descriptor, parent, diffId }: LayerPlan,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<UnpackedLayer> {
  try {
    const blobPath = await content.pathOf(descriptor.digest);
    return await layers.unpack({ blobPath, parent, diffId, signal, onProgress: (bytes) => meter.update(bytes) });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DataLossError) throw mismatch(error);
    const kind = error instanceof EngineError ? error.kind : 'internal';
    throw new EngineError(kind, `failed to register layer: ${messageOf(error)}`, { cause: error });
  }
}

/** Names the image; false when it bore the name already. */
function giveNames(
  { catalog }: ImageContext,
  reference: NamedReference,
  top: ResolvedManifest,
  image: StoredImage,
): boolean {
  return catalog.transaction(() => {
    const isNew = catalog.named(reference) !== image.id;
    catalog.pointDigest(image.id, reference, top.descriptor.digest);
    if (reference.digest === null && isNew) catalog.pointTag(image.id, reference);
    return isNew;
  });
}

function documentOf(plan: ImagePlan, layers: readonly UnpackedLayer[]): ImageDocument {
  return {
    config: plan.config,
    sizeBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    layers: layers.map(({ chainId, sizeBytes }) => ({ chainId, sizeBytes })),
    blobs: {
      manifest: plan.manifest.descriptor.digest,
      layers: plan.layers.map(({ descriptor: { digest, size, mediaType } }) => ({
        digest,
        sizeBytes: size,
        mediaType,
      })),
    },
  };
}

function mismatch(cause?: unknown): DataLossError {
  return new DataLossError("layers from manifest don't match image configuration", { cause });
}
