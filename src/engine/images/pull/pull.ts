/**
 * Pull: name → manifest → config → layers, each downloaded, verified and unpacked on its own, and in the end one
 * transaction that makes the image visible with its names. Until then nothing can be seen of it; when it fails, what
 * was unpacked or completed is taken away, and half a layer stays for the next attempt to resume.
 */
import { cameOfFullDisk } from '../../../base/errno-text.ts';
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { ImageConfig, Platform } from '../../oci/image-spec.ts';
import { fits } from '../../oci/platform.ts';
import { canonicalName, familiarName, familiarString, type NamedReference } from '../../oci/reference.ts';
import type { RegistryAuth, ResolvedManifest } from '../../registry/client.ts';
import type { UnpackedLayer } from '../../storage/layers.ts';
import type { StoredImage } from '../catalog.ts';
import type { ImageContext } from '../context.ts';
import { holdLayerBlobs, withStandIns, type HeldLayerBlobs } from '../layer-blobs.ts';
import { assertImagePartType } from '../media-types.ts';
import { platformMismatch } from '../platforms.ts';
import { fetchConfig, planLayers } from './config.ts';
import { dropHalves } from './download.ts';
import { isWhole, lossesOf } from './losses.ts';
import { bringLayers, type LayerPlan } from './layers.ts';
import { resolveName, selectManifest, type ImageManifest } from './manifest.ts';
import type { ImageDocument } from '../record.ts';
import type { SharedJobs } from '../shared-jobs.ts';
import type { ImageBlobs, LayerBlob, ProgressSink } from '../types.ts';

export interface PullOptions {
  readonly platform: Platform | null;
  readonly auth: RegistryAuth | null;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

interface SharingOptions extends PullOptions {
  /** Layers that some pull brings now. */
  readonly sharedLayers: SharedJobs<UnpackedLayer>;
}

/** One image of one platform, ready to be brought in. */
interface ImagePlan {
  readonly id: ImageId;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  readonly manifest: ResolvedManifest;
  readonly layers: readonly LayerPlan[];
}

/** Pulls what `reference` names: a tag, a digest, or without either all tags of the repository, one after another. */
export async function pullImage(
  context: ImageContext,
  reference: NamedReference,
  options: SharingOptions,
): Promise<StoredImage> {
  // Docker's word for no base image at all; Docker Hub has none of this name.
  if (familiarName(reference) === 'scratch') throw new InvalidArgumentError("'scratch' is a reserved name");
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
  if (!isAllTags) warnOfPlatform(reference, pulled, options);
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
  options: SharingOptions,
): Promise<{ readonly image: StoredImage; readonly isNew: boolean }> {
  const { progress } = options;
  const top = await resolveName(context, reference, options, () =>
    progress({
      status: `Pulling from ${reference.path}`,
      id: reference.digest === null ? (reference.tag ?? 'latest') : familiarString(reference),
    }),
  );
  const chosen = await selectManifest(context, reference, top, options);
  const { image, isNew } = await obtain(context, reference, chosen, {
    ...options,
    name: (stored) => giveNames(context, reference, top, stored),
  });
  // Layers that were there, whatever brought them, were not downloaded.
  await dropHalves(context, chosen.document.layers);
  progress({ status: `Digest: ${top.descriptor.digest}` });
  return { image, isNew };
}

/** The image of a manifest: the one that is there, or brought in. Its names come with it in one transaction. */
async function obtain(
  context: ImageContext,
  reference: NamedReference,
  chosen: ImageManifest,
  options: SharingOptions & { readonly name: (image: StoredImage) => boolean },
): Promise<{ readonly image: StoredImage; readonly isNew: boolean }> {
  const { manifest, document } = chosen;
  if (await isWhole(context, document.config.digest)) {
    // Looked up again: it may have been removed meanwhile.
    const existing = context.catalog.get(document.config.digest);
    if (existing !== null) return { image: existing, isNew: options.name(existing) };
  }
  for (const { mediaType } of [document.config, ...document.layers]) assertImagePartType(mediaType);
  const plan = await planImage(context, reference, chosen, options);
  const candidates = {
    layers: plan.layers.map(({ chainId }) => chainId),
    blobs: [plan.id, manifest.descriptor.digest, ...plan.layers.map(({ descriptor }) => descriptor.digest)],
  };
  let isStored = false;
  const blobs = blobsOf(plan);
  await using held = await holdLayerBlobs(context, { config: plan.config, blobs });
  const pin = await context.collector.pin(candidates);
  try {
    const losses = lossesOf(context, { id: plan.id, blobs, chainIds: candidates.layers, kept: held.blobs });
    const layers = await bringLayers(context, reference, plan.layers, { ...options, losses });
    await context.content.put(plan.configBytes);
    await context.content.put(manifest.bytes);
    options.signal.throwIfAborted();
    const kept = await ownOrHeld(context, blobs, held);
    const image = { id: plan.id, document: withStandIns(documentOf(plan, blobs, layers), kept) };
    const isNew = context.catalog.transaction(() => {
      if (context.catalog.get(plan.id) === null) context.catalog.add(image);
      else context.catalog.replace(image);
      const brought = [...candidates.layers, ...kept.flatMap((blob) => blob?.digest ?? [])];
      context.upkeep.mended(plan.id, [plan.id, manifest.descriptor.digest, ...brought]);
      return options.name(image);
    });
    isStored = true;
    await context.catalog.settled();
    return { image, isNew };
  } catch (error) {
    // What was on its way beside the one that met it: half a blob is worth less than its room.
    if (cameOfFullDisk(error)) await dropHalves(context, document.layers);
    throw error;
  } finally {
    pin[Symbol.dispose]();
    if (!isStored) await context.collector.collect(candidates);
  }
}

async function planImage(
  context: ImageContext,
  reference: NamedReference,
  { manifest, document }: ImageManifest,
  options: PullOptions,
): Promise<ImagePlan> {
  const configBytes = await fetchConfig(context, reference, document.config, options);
  return { id: document.config.digest, configBytes, manifest, ...planLayers(configBytes, document) };
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

/** An image of one platform is pulled whatever was asked for, and the user told. */
function warnOfPlatform(
  reference: NamedReference,
  { document }: StoredImage,
  { platform, progress }: PullOptions,
): void {
  if (platform === null || fits(document.config, platform)) return;
  const tag = reference.tag === null ? '' : `:${reference.tag}`;
  const digest = reference.digest === null ? '' : `@${reference.digest}`;
  const name = `${canonicalName(reference)}${tag}${digest}`;
  progress({ status: `WARNING: ${platformMismatch(name, document.config, platform)}` });
}

/** Which blob of each layer is there now that all have been brought: one of those that nobody removes meanwhile. */
async function ownOrHeld(
  { content }: ImageContext,
  { layers }: ImageBlobs,
  held: HeldLayerBlobs,
): Promise<readonly (LayerBlob | null)[]> {
  return await Promise.all(
    layers.map(async (own, index) => ((await content.stat(own.digest)) === null ? (held.blobs[index] ?? null) : own)),
  );
}

function blobsOf({ manifest, layers }: ImagePlan): ImageBlobs {
  return {
    manifest: manifest.descriptor.digest,
    layers: layers.map(({ descriptor: { digest, size, mediaType } }) => ({ digest, sizeBytes: size, mediaType })),
  };
}

function documentOf({ config }: ImagePlan, blobs: ImageBlobs, layers: readonly UnpackedLayer[]): ImageDocument {
  return {
    config,
    sizeBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    layers: layers.map(({ chainId, sizeBytes }) => ({ chainId, sizeBytes })),
    blobs,
  };
}
