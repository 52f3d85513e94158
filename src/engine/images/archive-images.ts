/** Which images an archive holds: `docker save`'s manifest.json, or an OCI image layout. Names become references here. */
import { DataLossError, InvalidArgumentError } from '../../base/errors.ts';
import { digestOf, type Digest, type DiffId, type ImageId } from '../oci/digest.ts';
import { MediaType, type Descriptor, type ImageConfig, type Platform } from '../oci/image-spec.ts';
import { parseReference, withDefaultTag, type NamedReference } from '../oci/reference.ts';
import { parseArchiveManifest, parseConfig, parseIndex, parseManifest } from '../registry/wire.ts';
import { chooseManifest } from './platforms.ts';
import type { SpooledArchive, SpooledFile } from './spool.ts';

/** One image of an archive. */
export interface ArchivedImage {
  readonly id: ImageId;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** An OCI layout's manifest; null for a docker archive. */
  readonly manifestBytes: Buffer | null;
  readonly names: readonly NamedReference[];
  readonly layers: readonly { readonly diffId: DiffId; readonly file: SpooledFile }[];
}

/** Annotations that name an image in an index, the fuller one first. */
const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];

/** All images of an archive. InvalidArgumentError in Docker's words. */
export function imagesOf(archive: SpooledArchive, platform: Platform): readonly ArchivedImage[] {
  const manifest = archive.get('manifest.json');
  if (manifest !== null)
    return parseArchiveManifest(small(manifest, 'manifest.json')).map((item) => dockerImage(archive, item));
  const index = archive.get('index.json');
  if (index === null) throw new InvalidArgumentError('invalid archive: does not contain a manifest.json');
  const { manifests } = parseIndex(small(index, 'index.json'));
  return manifests.map((entry) => ociImage(archive, entry, platform));
}

function dockerImage(archive: SpooledArchive, item: ReturnType<typeof parseArchiveManifest>[number]): ArchivedImage {
  const configBytes = small(mustHave(archive, item.config), item.config);
  const files = item.layers.map((name) => mustHave(archive, name));
  const names = item.repoTags.map((text) => {
    const reference = parseReference(text);
    if (reference.tag === null) throw new InvalidArgumentError(`invalid tag ${JSON.stringify(text)}`);
    return reference;
  });
  return assemble(configBytes, files, { names, manifestBytes: null });
}

function ociImage(archive: SpooledArchive, entry: Descriptor, platform: Platform): ArchivedImage {
  const manifestBytes = verified(archive, entry.digest);
  if (entry.mediaType === MediaType.ociIndex || entry.mediaType === MediaType.dockerManifestList) {
    const chosen = chooseManifest(parseIndex(manifestBytes), platform);
    return { ...ociImage(archive, chosen, platform), names: namesOf(entry) };
  }
  const { config, layers } = parseManifest(manifestBytes);
  const files = layers.map(({ digest }) => mustHave(archive, blobName(digest)));
  return assemble(verified(archive, config.digest), files, { names: namesOf(entry), manifestBytes });
}

function assemble(
  configBytes: Buffer,
  files: readonly SpooledFile[],
  rest: Pick<ArchivedImage, 'names' | 'manifestBytes'>,
): ArchivedImage {
  const config = parseConfig(configBytes);
  if (config.os !== 'linux') {
    throw new InvalidArgumentError(`cannot load ${config.os} image on linux`);
  }
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== files.length) {
    throw new InvalidArgumentError(
      `invalid manifest, layers length mismatch: expected ${String(files.length)}, got ${String(diffIds.length)}`,
    );
  }
  const layers = files.flatMap((file, index) => {
    const diffId = diffIds[index];
    return diffId === undefined ? [] : [{ diffId, file }];
  });
  return { id: digestOf(configBytes), config, configBytes, layers, ...rest };
}

/** A bare tag (`latest`) names nothing: an index does not say the repository. */
function namesOf({ annotations }: Descriptor): readonly NamedReference[] {
  const text = NAME_ANNOTATIONS.map((key) => annotations?.[key]).find((value) => value !== undefined);
  if (text === undefined || !/[:/]/.test(text)) return [];
  return [{ ...withDefaultTag(parseReference(text)), digest: null }].filter(({ tag }) => tag !== null);
}

function verified(archive: SpooledArchive, digest: Digest): Buffer {
  const bytes = small(mustHave(archive, blobName(digest)), blobName(digest));
  if (digestOf(bytes) !== digest) throw new DataLossError(`blob ${digest} of the archive is damaged`);
  return bytes;
}

function blobName(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function mustHave(archive: SpooledArchive, name: string): SpooledFile {
  const file = archive.get(name);
  if (file === null) throw new InvalidArgumentError(`invalid archive: ${name} is missing`);
  return file;
}

function small(file: SpooledFile, name: string): Buffer {
  if (file.kind === 'bytes') return file.bytes;
  throw new InvalidArgumentError(`invalid archive: ${name} is too large`);
}
