/**
 * The manifest that an image is given away with, to a registry or in an archive: its own where its blobs are what that one
 * names, else one made for the blobs. The same image makes the same bytes on both ways, and so has one digest.
 */
import { DataLossError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { Digest } from '../oci/digest.ts';
import { MediaType, type Descriptor, type Manifest } from '../oci/image-spec.ts';
import { ownMediaType, parseManifest } from '../registry/wire.ts';
import type { StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';

/** The manifest an image came with. */
export interface OriginalManifest {
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

/** A manifest to give away. */
export interface ManifestBytes {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** Null for an image that was made here or came from a docker archive, or whose manifest is not kept. */
export async function originalManifest(
  { content }: Pick<ImageContext, 'content'>,
  { id, document }: StoredImage,
): Promise<OriginalManifest | null> {
  const digest = document.blobs.manifest;
  if (digest === null || (await content.stat(digest)) === null) return null;
  const bytes = await content.read(digest);
  const manifest = parseManifest(bytes);
  const isWhole = manifest.config.digest === id && manifest.layers.length === document.layers.length;
  return isWhole ? { bytes, manifest } : null;
}

/** The config's exact bytes. DataLossError when they have gone. */
export async function configBytesOf({ content }: Pick<ImageContext, 'content'>, { id }: StoredImage): Promise<Buffer> {
  if ((await content.stat(id)) !== null) return await content.read(id);
  throw new DataLossError(`the config of image ${shortId(id)} is gone: pull or load the image again`);
}

/** The manifest for layers as they are given away, lowest first. */
export function manifestFor(image: {
  readonly original: OriginalManifest | null;
  readonly layers: readonly Descriptor[];
  readonly config: { readonly digest: Digest; readonly sizeBytes: number };
}): ManifestBytes {
  const { original, layers, config } = image;
  const own = original?.manifest.layers;
  if (original !== null && own?.every(({ digest }, index) => digest === layers[index]?.digest) === true) {
    return { mediaType: mediaTypeOf(original), bytes: original.bytes };
  }
  // Docker's own format knows no zstd.
  const isOci = layers.some(({ mediaType }) => compressionIn(mediaType) === 'zstd');
  const mediaType = isOci ? MediaType.ociManifest : MediaType.dockerManifest;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: isOci ? MediaType.ociConfig : MediaType.dockerConfig,
      size: config.sizeBytes,
      digest: config.digest,
    },
    layers: layers.map((layer) => ({
      mediaType: isForeign(layer) ? layer.mediaType : layerMediaType(layer.mediaType, isOci),
      size: layer.size,
      digest: layer.digest,
      ...(layer.urls === undefined ? {} : { urls: layer.urls }),
    })),
  };
  // As dockerd spells it.
  return { mediaType, bytes: Buffer.from(JSON.stringify(document, null, 3)) };
}

/** A layer that registries only name and others give. */
export function isForeign({ urls }: Descriptor): boolean {
  return urls !== undefined && urls.length > 0;
}

function mediaTypeOf({ bytes, manifest }: OriginalManifest): string {
  const own = ownMediaType(bytes);
  if (own !== null) return own;
  return manifest.config.mediaType === MediaType.dockerConfig ? MediaType.dockerManifest : MediaType.ociManifest;
}

function layerMediaType(mediaType: string, isOci: boolean): string {
  switch (compressionIn(mediaType)) {
    case 'zstd':
      return MediaType.ociLayerZstd;
    case 'gzip':
      return isOci ? MediaType.ociLayerGzip : MediaType.dockerLayerGzip;
    case 'none':
      return isOci ? MediaType.ociLayer : MediaType.dockerLayer;
  }
}

function compressionIn(mediaType: string): 'none' | 'gzip' | 'zstd' {
  if (mediaType.endsWith('zstd')) return 'zstd';
  return mediaType.endsWith('gzip') ? 'gzip' : 'none';
}
