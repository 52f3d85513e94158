/**
 * What `save` writes: one tar that is an OCI image layout and a docker archive at once, as Docker's own since version 25.
 * What tells of the images comes first, so that a reader of the stream knows what the blobs are before they come.
 *
 * ```
 * oci-layout  index.json  manifest.json  repositories
 * blobs/sha256/HEX…        manifests, configs, then layers as they are kept (plain, gzip or zstd); each once
 * ```
 */
import { digestOf, type Digest, type ImageId } from '../../oci/digest.ts';
import { MediaType, type Descriptor, type ImageConfig, type Platform } from '../../oci/image-spec.ts';
import { canonicalName, familiarName, familiarString, type NamedReference } from '../../oci/reference.ts';
import type { ManifestBytes } from '../manifest.ts';
import type { LayerBlob } from '../types.ts';

/** One file of the archive. */
export interface ArchiveFile {
  readonly name: string;
  readonly content: Buffer | { readonly digest: Digest; readonly sizeBytes: number };
}

/** An image with all that goes into the archive. */
export interface ImageToSave {
  readonly id: ImageId;
  readonly names: readonly NamedReference[];
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** For just these `layers`. */
  readonly manifest: ManifestBytes;
  readonly layers: readonly LayerBlob[];
  readonly parent: ImageId | null;
}

/** All files of the archive, always in the same order for the same images. */
export function archiveFiles(images: readonly ImageToSave[]): readonly ArchiveFile[] {
  const ids = new Set(images.map(({ id }) => id));
  const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: images.flatMap(indexEntries) };
  const repositories = repositoriesOf(images);
  const blobs = new Map<Digest, ArchiveFile['content']>();
  for (const { manifest } of images) blobs.set(digestOf(manifest.bytes), manifest.bytes);
  for (const { id, configBytes } of images) blobs.set(id, configBytes);
  for (const { digest, sizeBytes } of images.flatMap(({ layers }) => layers)) {
    if (!blobs.has(digest)) blobs.set(digest, { digest, sizeBytes });
  }
  return [
    file('oci-layout', { imageLayoutVersion: '1.0.0' }),
    file('index.json', index),
    file(
      'manifest.json',
      images.map((image) => archiveItem(image, ids)),
    ),
    ...(repositories.size === 0 ? [] : [file('repositories', nested(repositories))]),
    ...[...blobs].map(([digest, content]) => ({ name: blobName(digest), content })),
  ];
}

/** Where a blob lies in the layout. */
export function blobName(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** One a name; an image without names has one without annotations. */
function indexEntries({ manifest, names, config }: ImageToSave): readonly Descriptor[] {
  const { bytes, mediaType } = manifest;
  const bare = { mediaType, digest: digestOf(bytes), size: bytes.length, platform: platformOf(config) };
  if (names.length === 0) return [bare];
  return names.map((name) => ({
    ...bare,
    annotations: {
      'io.containerd.image.name': `${canonicalName(name)}:${name.tag ?? 'latest'}`,
      'org.opencontainers.image.ref.name': name.tag ?? 'latest',
    },
  }));
}

function platformOf({ architecture, os, variant, 'os.version': osVersion }: ImageConfig): Platform {
  return {
    architecture,
    os,
    ...(osVersion === undefined || osVersion === '' ? {} : { 'os.version': osVersion }),
    ...(variant === undefined || variant === '' ? {} : { variant }),
  };
}

function archiveItem({ id, names, layers, parent }: ImageToSave, ids: ReadonlySet<ImageId>): object {
  return {
    Config: blobName(id),
    RepoTags: names.length === 0 ? null : names.map(familiarString),
    Layers: layers.map(({ digest }) => blobName(digest)),
    ...(parent !== null && ids.has(parent) ? { Parent: parent } : {}),
  };
}

/** Repository → tag → top layer, for readers from before manifest.json. */
function repositoriesOf(images: readonly ImageToSave[]): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const repositories = new Map<string, Map<string, string>>();
  for (const { names, config } of images) {
    const top = config.rootfs.diff_ids.at(-1);
    if (top === undefined) continue;
    for (const name of names) {
      const repository = familiarName(name);
      const tags = repositories.get(repository) ?? new Map<string, string>();
      repositories.set(repository, tags.set(name.tag ?? 'latest', top.slice('sha256:'.length)));
    }
  }
  return repositories;
}

function nested(map: ReadonlyMap<string, ReadonlyMap<string, string>>): object {
  return Object.fromEntries([...map].map(([key, value]) => [key, Object.fromEntries(value)]));
}

function file(name: string, json: unknown): ArchiveFile {
  return { name, content: Buffer.from(JSON.stringify(json)) };
}
