/** Which images an archive holds: `docker save`'s manifest.json, or an OCI image layout. Names become references here. */
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import { digestOf, type DiffId, type ImageId } from '../../oci/digest.ts';
import type { ImageConfig } from '../../oci/image-spec.ts';
import { fits, platformText } from '../../oci/platform.ts';
import { parseReference, type NamedReference } from '../../oci/reference.ts';
import { parseArchiveManifest, parseConfig } from '../../registry/wire.ts';
import { ociImages, originalManifest, type Choice, type ImageParts } from './oci-layout.ts';
import { legacyImages } from './legacy.ts';
import type { SpooledArchive, SpooledFile } from './spool.ts';

/** One image of an archive. */
export interface ArchivedImage {
  readonly id: ImageId;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** The manifest that names exactly these blobs; null when the archive has none. */
  readonly manifestBytes: Buffer | null;
  readonly names: readonly NamedReference[];
  readonly layers: readonly { readonly diffId: DiffId; readonly file: SpooledFile }[];
  /** The image of the same archive that a commit made it from. */
  readonly parent: ImageId | null;
}

/**
 * All images of an archive. InvalidArgumentError in Docker's words for what is no archive, DataLossError for a blob that
 * is not its digest's, NotFoundError when none is for the platform that is wanted.
 */
export function imagesOf(archive: SpooledArchive, choice: Choice): readonly ArchivedImage[] {
  const images = allImages(archive, choice);
  const { wanted } = choice;
  if (wanted === null) return images;
  const suitable = images.filter(({ config }) => fits(config, wanted));
  if (suitable.length > 0 || images.length === 0) return suitable;
  throw new NotFoundError(`no image of the archive is for platform ${platformText(wanted)}`);
}

function allImages(archive: SpooledArchive, choice: Choice): readonly ArchivedImage[] {
  if (archive.get('manifest.json') !== null) {
    const images = parseArchiveManifest(archive.readSmall('manifest.json')).map((item) => dockerImage(archive, item));
    const ids = new Set<string>(images.map(({ id }) => id));
    return images.map((image) =>
      image.parent !== null && !ids.has(image.parent) ? { ...image, parent: null } : image,
    );
  }
  if (archive.get('index.json') === null) {
    if (archive.get('repositories') !== null) return legacyImages(archive).map(assemble);
    throw new InvalidArgumentError('invalid archive: does not contain a manifest.json');
  }
  return ociImages(archive, archive.readSmall('index.json'), choice).map(assemble);
}

function dockerImage(archive: SpooledArchive, item: ReturnType<typeof parseArchiveManifest>[number]): ArchivedImage {
  const configBytes = archive.readSmall(item.config);
  const files = item.layers.map((name) => archive.mustHave(name));
  const names = item.repoTags.map((text) => {
    const reference = parseReference(text);
    if (reference.tag === null) throw new InvalidArgumentError(`invalid tag ${JSON.stringify(text)}`);
    return reference;
  });
  const manifestBytes = originalManifest(archive, digestOf(configBytes), files);
  return assemble({ configBytes, files, names, manifestBytes, parent: item.parent });
}

function assemble({ configBytes, files, names, manifestBytes, parent = null }: ImageParts): ArchivedImage {
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
  return { id: digestOf(configBytes), config, configBytes, layers, names, manifestBytes, parent };
}
