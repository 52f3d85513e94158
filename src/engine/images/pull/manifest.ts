/** From a name to the manifest of one platform. */
import { DataLossError, InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import { MediaType, type Index, type Manifest, type Platform } from '../../oci/image-spec.ts';
import type { NamedReference } from '../../oci/reference.ts';
import type { RequestOptions, ResolvedManifest } from '../../registry/client.ts';
import { schema1Error } from '../../registry/failures.ts';
import { parseIndex, parseManifest } from '../../registry/wire.ts';
import type { ImageContext } from '../context.ts';
import { assertImageConfigType } from '../media-types.ts';
import { chooseManifest } from '../platforms.ts';

export interface ManifestOptions extends RequestOptions {
  /** Null for this machine's. */
  readonly platform: Platform | null;
}

/** The manifest of an image, and its document. */
export interface ImageManifest {
  readonly manifest: ResolvedManifest;
  readonly document: Manifest;
}

/** An index may point at indexes; one that goes deeper than anybody builds is hostile. */
const MAX_INDEX_DEPTH = 4;

/**
 * What a name stands for in its registry: an image's manifest, or an index. `announce` is called when the registry has
 * shown that the name is good, as dockerd does: errors before that are answers, later ones part of the stream.
 */
export async function resolveName(
  { registry }: ImageContext,
  reference: NamedReference,
  { auth, signal }: RequestOptions,
  announce: () => void,
): Promise<ResolvedManifest> {
  let top: ResolvedManifest;
  try {
    top = await registry.resolve(reference, { auth, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    // dockerd has begun its stream when it finds that a manifest is not what was asked for.
    if (error instanceof DataLossError && error.message.startsWith('manifest verification failed')) announce();
    throw error;
  }
  if (top.descriptor.mediaType === MediaType.dockerManifest) {
    assertImageConfigType(parseManifest(top.bytes, MediaType.dockerManifest).config.mediaType);
  }
  announce();
  return top;
}

/** The manifest of one platform: the one that was named, or the index's choice. */
export async function selectManifest(
  context: ImageContext,
  reference: NamedReference,
  top: ResolvedManifest,
  options: ManifestOptions,
): Promise<ImageManifest> {
  return await select(context, reference, top, options, 0);
}

async function select(
  context: ImageContext,
  reference: NamedReference,
  manifest: ResolvedManifest,
  options: ManifestOptions,
  depth: number,
): Promise<ImageManifest> {
  const { mediaType } = manifest.descriptor;
  if (mediaType === MediaType.dockerManifest || mediaType === MediaType.ociManifest) {
    return { manifest, document: parseManifest(manifest.bytes, mediaType) };
  }
  if (isIndex(mediaType)) {
    if (depth >= MAX_INDEX_DEPTH) throw new InvalidArgumentError('manifest lists are nested too deeply');
    return await selectFrom(context, reference, parseIndex(manifest.bytes, mediaType), options, depth);
  }
  if (mediaType.startsWith(MediaType.dockerSchema1)) throw schema1Error(reference);
  if (mediaType === MediaType.dockerSchema1Signed) throw schema1Error(reference);
  throw new InvalidArgumentError(`unsupported manifest media type: ${mediaType}`);
}

/** The best entry of an index; an index within it that turns out not to have the platform gives way to the next best. */
async function selectFrom(
  context: ImageContext,
  reference: NamedReference,
  index: Index,
  options: ManifestOptions,
  depth: number,
): Promise<ImageManifest> {
  const { platform, bestPlatform } = context;
  const [wanted, named] = options.platform === null ? [bestPlatform, platform] : [options.platform, options.platform];
  let entries = index.manifests.filter(({ annotations }) => annotations?.[REFERENCE_TYPE] !== 'attestation-manifest');
  for (;;) {
    const chosen = chooseManifest({ ...index, manifests: entries }, wanted, named);
    const child = await context.registry.fetchManifest(reference, chosen.digest, options);
    if (chosen.size !== child.bytes.length) {
      const sizes = `its size is ${String(child.bytes.length)}, the manifest list says ${String(chosen.size)}`;
      throw new DataLossError(`manifest verification failed for digest ${chosen.digest}: ${sizes}`);
    }
    try {
      return await select(context, reference, child, options, depth + 1);
    } catch (error) {
      if (!(error instanceof NotFoundError) || !isIndex(child.descriptor.mediaType)) throw error;
      entries = entries.filter((entry) => entry !== chosen);
    }
  }
}

/** BuildKit's mark on what stands in an index beside the images and is none. */
const REFERENCE_TYPE = 'vnd.docker.reference.type';

function isIndex(mediaType: string): boolean {
  return mediaType === MediaType.dockerManifestList || mediaType === MediaType.ociIndex;
}
