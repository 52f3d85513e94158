/**
 * Push: every layer to the registry, several at a time, then the config, then the manifest under its tag. Layers go as
 * they are kept; an image whose blobs are all those it came with gets its own manifest back, byte for byte, and so the
 * digest it had where it came from.
 */
import { Readable } from 'node:stream';
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { ImageId } from '../../oci/digest.ts';
import { canonicalName, familiarName, familiarString, type NamedReference } from '../../oci/reference.ts';
import type { StoredImage } from '../catalog.ts';
import type { ImageContext } from '../context.ts';
import { holdBlobs, holdLayerBlobs } from '../layer-blobs.ts';
import { configBytesOf, manifestFor, originalManifest } from '../manifest.ts';
import { assertFits } from '../platforms.ts';
import { neededBlobs } from '../record.ts';
import { pushLayers, type PushOptions } from './layers.ts';

/** Pushes a tag, or without one every tag of the repository, one after another. */
export async function pushImage(
  context: ImageContext,
  reference: NamedReference,
  options: PushOptions,
): Promise<StoredImage> {
  const { catalog, registry } = context;
  const { auth, signal, platform } = options;
  if (platform !== null) {
    const name = canonicalName(reference) + (reference.tag === null ? '' : `:${reference.tag}`);
    assertFits(name, catalog.lookUp(name).document.config, platform);
  }
  options.progress({ status: `The push refers to repository [${canonicalName(reference)}]` });
  const wanted = tagsToPush(context, reference);
  await registry.greet(reference, { auth, signal });
  let pushed: StoredImage | null = null;
  for (const { tag, id } of wanted) pushed = await pushTag(context, { ...reference, tag }, id, options);
  if (pushed === null) throw new NotFoundError(`no tags to push for ${familiarName(reference)}`);
  catalog.publish('push', familiarString(reference), familiarName(reference), pushed);
  return pushed;
}

/** The tags that are meant, with their images. Errors in Docker's words. */
function tagsToPush(
  { catalog }: ImageContext,
  reference: NamedReference,
): readonly { readonly tag: string; readonly id: ImageId }[] {
  const repository = canonicalName(reference);
  const tags = catalog.tables.allTags().filter((row) => row.repository === repository);
  const digests = catalog.tables.allDigests().filter((row) => row.repository === repository);
  if (tags.length === 0 && digests.length === 0) {
    throw new NotFoundError(`An image does not exist locally with the tag: ${familiarName(reference)}`);
  }
  if (reference.digest !== null) throw new InvalidArgumentError('cannot push a digest reference');
  const found = tags
    .filter(({ tag }) => reference.tag === null || tag === reference.tag)
    .map(({ tag, imageId }) => ({ tag, id: imageId }));
  if (found.length > 0) return found;
  throw new NotFoundError(
    reference.tag === null
      ? `no tags to push for ${familiarName(reference)}`
      : `tag does not exist: ${familiarString(reference)}`,
  );
}

async function pushTag(
  context: ImageContext,
  reference: NamedReference & { readonly tag: string },
  id: ImageId,
  options: PushOptions,
): Promise<StoredImage> {
  const { catalog, clock, registry, upkeep } = context;
  const { auth, signal, progress } = options;
  const image = catalog.get(id);
  if (image === null) throw new NotFoundError(`could not find image from tag ${familiarString(reference)}`);
  // Before anything is waited for: who removes the image from now on leaves us what it needs.
  await using _kept = await holdBlobs(context, neededBlobs(id, image.document));
  await using held = await holdLayerBlobs(context, image.document);
  const original = await originalManifest(context, image);
  const layers = await pushLayers(context, reference, { image, original, held: held.blobs }, options);
  const config = await configBytesOf(context, image);
  const sendConfig = (): Promise<unknown> =>
    registry.pushBlob(
      reference,
      { digest: id, sizeBytes: config.length, open: async (offset) => Readable.from([config.subarray(offset)]) },
      { auth, signal, mountFrom: [] },
    );
  // docker-registry may call a blob's digest invalid that two clients bring at the same moment.
  await context.uploadLock.hold(`${canonicalName(reference)} ${id}`, sendConfig, signal);
  const manifest = manifestFor({ original, layers, config: { digest: id, sizeBytes: config.length } });
  const digest = await registry.pushManifest(reference, manifest, { auth, signal });
  const { tag } = reference;
  progress({ status: `${tag}: digest: ${digest} size: ${String(manifest.bytes.length)}` });
  // The image may have been removed meanwhile; what is at the registry is there all the same.
  catalog.transaction(() => {
    if (catalog.get(id) === null) return;
    catalog.pointDigest(id, reference, digest);
    upkeep.touch(id, clock.now());
  });
  progress({ pushed: { tag, digest, sizeBytes: manifest.bytes.length } });
  return image;
}
