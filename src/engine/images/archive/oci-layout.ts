/**
 * An OCI image layout as the index of an archive: which manifests it means. An index may hold indexes, one name may stand
 * at manifests of several platforms, and attestations are no images.
 */
import { DataLossError, EngineError, InvalidArgumentError } from '../../../base/errors.ts';
import { digestOf, type Digest, type ImageId } from '../../oci/digest.ts';
import { MediaType, type Descriptor, type Manifest, type Platform } from '../../oci/image-spec.ts';
import { runnablePlatforms, suitability } from '../../oci/platform.ts';
import { canonicalName, parseReference, withDefaultTag, type NamedReference } from '../../oci/reference.ts';
import { parseIndex, parseManifest } from '../../registry/wire.ts';
import { chooseManifest } from '../platforms.ts';
import { blobName } from './save-layout.ts';
import { spooledDigest, type SpooledArchive, type SpooledFile } from './spool.ts';

/** Annotations that name an image in an index, the fuller one first. */
const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];
/** Indexes in indexes: more is a loop, or nonsense. */
const MAX_DEPTH = 8;
const INDEX_TYPES: ReadonlySet<string> = new Set([MediaType.ociIndex, MediaType.dockerManifestList]);
const CONFIG_TYPES: ReadonlySet<string> = new Set([MediaType.ociConfig, MediaType.dockerConfig]);
const LAYER_TYPES: ReadonlySet<string> = new Set([
  MediaType.ociLayer,
  MediaType.ociLayerGzip,
  MediaType.ociLayerZstd,
  MediaType.dockerLayer,
  MediaType.dockerLayerGzip,
]);

/** What an image is made of before it has been checked. */
export interface ImageParts {
  readonly configBytes: Buffer;
  readonly files: readonly SpooledFile[];
  readonly names: readonly NamedReference[];
  readonly manifestBytes: Buffer | null;
  readonly parent?: Digest | null;
}

export interface Choice {
  /** This machine's: what is taken of several that bear one name. */
  readonly native: Platform;
  /** The only one that is wanted; null takes what there is. */
  readonly wanted: Platform | null;
}

/** The images that an index means, each with all its names. */
export function ociImages(archive: SpooledArchive, bytes: Buffer, choice: Choice): readonly ImageParts[] {
  const images = new Map<Digest, ImageParts>();
  for (const { entry, name } of chosenEntries(parseIndex(bytes).manifests, choice)) {
    const descriptor = leafOf(archive, entry, choice, 0);
    const before = images.get(descriptor.digest);
    const names = [...(before?.names ?? []), ...(name === null ? [] : [name])];
    images.set(descriptor.digest, { ...(before ?? partsOf(archive, descriptor)), names });
  }
  return [...images.values()];
}

/**
 * The manifest that a layout has for an image of the docker archive it also is: with it, the image keeps its digest in
 * registries. Null when there is none with just these blobs; what is wrong with an index that is not needed is no fault.
 */
export function originalManifest(archive: SpooledArchive, id: ImageId, files: readonly SpooledFile[]): Buffer | null {
  const index = archive.get('index.json');
  if (index?.kind !== 'bytes') return null;
  try {
    for (const entry of parseIndex(index.bytes).manifests) {
      const file = archive.get(blobName(entry.digest));
      if (file?.kind !== 'bytes' || INDEX_TYPES.has(entry.mediaType)) continue;
      const { config, layers } = parseManifest(file.bytes);
      const isSame = layers.length === files.length && layers.every((layer, at) => isThat(files[at], layer));
      if (config.digest === id && isSame && digestOf(file.bytes) === entry.digest) return file.bytes;
    }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
  }
  return null;
}

interface NamedEntry {
  readonly entry: Descriptor;
  readonly name: NamedReference | null;
}

/** One entry a name; of entries without one, those for this machine, or all when none is. */
function chosenEntries(entries: readonly Descriptor[], choice: Choice): readonly NamedEntry[] {
  const images = entries.filter((entry) => !isAttestation(entry)).map((entry) => ({ entry, name: nameOf(entry) }));
  const byName = Map.groupBy(images, ({ name }) => (name === null ? '' : `${canonicalName(name)}:${name.tag ?? ''}`));
  return [...byName].flatMap(([key, group]) => {
    if (key === '') return suitable(group, choice);
    const first = group[0];
    if (first === undefined || group.length === 1) return group;
    return [
      {
        ...first,
        entry: choose(
          group.map(({ entry }) => entry),
          choice,
        ),
      },
    ];
  });
}

function suitable(group: readonly NamedEntry[], { native, wanted }: Choice): readonly NamedEntry[] {
  const runnable = runnablePlatforms(wanted ?? native);
  const fit = group.filter(
    ({ entry: { platform } }) => platform === undefined || suitability(platform, runnable) !== null,
  );
  return fit.length > 0 ? fit : group;
}

function choose(manifests: readonly Descriptor[], { native, wanted }: Choice): Descriptor {
  return chooseManifest({ schemaVersion: 2, manifests }, wanted ?? native);
}

function isAttestation({ annotations, platform }: Descriptor): boolean {
  return (
    annotations?.['vnd.docker.reference.type'] === 'attestation-manifest' ||
    (platform?.os === 'unknown' && platform.architecture === 'unknown')
  );
}

/** The manifest below an entry, through indexes. */
function leafOf(archive: SpooledArchive, entry: Descriptor, choice: Choice, depth: number): Descriptor {
  if (!INDEX_TYPES.has(entry.mediaType)) return entry;
  if (depth >= MAX_DEPTH) throw new InvalidArgumentError('invalid archive: indexes are nested too deeply');
  const { manifests } = parseIndex(verified(archive, entry.digest));
  const images = manifests.filter((inner) => !isAttestation(inner));
  const [only] = images;
  const chosen = images.length === 1 && only !== undefined && choice.wanted === null ? only : choose(images, choice);
  return leafOf(archive, chosen, choice, depth + 1);
}

function partsOf(archive: SpooledArchive, { digest }: Descriptor): ImageParts {
  const manifestBytes = verified(archive, digest);
  const { config, layers } = parseManifest(manifestBytes);
  assertImage(digest, { config, layers });
  const files = layers.map((layer) => {
    const file = archive.mustHave(blobName(layer.digest));
    if (!isThat(file, layer)) throw damaged(layer.digest);
    return file;
  });
  return { configBytes: verified(archive, config.digest), files, names: [], manifestBytes };
}

/** Other things than images lie in layouts too. */
function assertImage(digest: Digest, { config, layers }: Pick<Manifest, 'config' | 'layers'>): void {
  if (!CONFIG_TYPES.has(config.mediaType)) {
    throw new InvalidArgumentError(`manifest ${digest} is not an image: its config is of type "${config.mediaType}"`);
  }
  const strange = layers.find(({ mediaType }) => !LAYER_TYPES.has(mediaType));
  if (strange === undefined) return;
  throw new InvalidArgumentError(`layer ${strange.digest} is of an unsupported media type: "${strange.mediaType}"`);
}

function isThat(file: SpooledFile | undefined, { digest, size }: Descriptor): boolean {
  if (file === undefined) return false;
  const sizeBytes = file.kind === 'bytes' ? file.bytes.length : file.sizeBytes;
  return sizeBytes === size && spooledDigest(file) === digest;
}

/** A bare tag (`latest`) names nothing: an index does not say the repository. */
function nameOf({ annotations }: Descriptor): NamedReference | null {
  const text = NAME_ANNOTATIONS.map((key) => annotations?.[key]).find((value) => value !== undefined);
  if (text === undefined || !/[:/]/.test(text)) return null;
  const name = { ...withDefaultTag(parseReference(text)), digest: null };
  return name.tag === null ? null : name;
}

function verified(archive: SpooledArchive, digest: Digest): Buffer {
  const bytes = archive.readSmall(blobName(digest));
  if (digestOf(bytes) !== digest) throw damaged(digest);
  return bytes;
}

function damaged(digest: Digest): DataLossError {
  return new DataLossError(`blob ${digest} of the archive is damaged`);
}
