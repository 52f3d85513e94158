import { NotFoundError } from '../../../base/errors.ts';
import type { Platform } from '../../oci/image-spec.ts';
import { fits, platformText } from '../../oci/platform.ts';
import { canonicalName, familiarName, familiarString, type NamedReference } from '../../oci/reference.ts';
import { fullId, referenceOfTag, type ImageCatalog, type StoredImage } from '../catalog.ts';

/** One image of an archive to be, with the names that it is to bear there. */
export interface WantedImage {
  readonly image: StoredImage;
  readonly names: readonly NamedReference[];
}

/**
 * The images that `docker save` means, each once, in the order in which they were asked for: a name with a tag is that
 * name, a bare repository is all its tags, an id or digest is an image without a name. NotFoundError in Docker's words.
 */
export function wantedImages(
  catalog: ImageCatalog,
  references: readonly string[],
  platform: Platform | null,
): readonly WantedImage[] {
  const wanted = new Map<string, { readonly image: StoredImage; readonly names: Map<string, NamedReference> }>();
  for (const { image, name } of references.flatMap((reference) => imagesNamed(catalog, reference))) {
    const entry = wanted.get(image.id) ?? { image, names: new Map<string, NamedReference>() };
    wanted.set(image.id, entry);
    if (name !== null) entry.names.set(familiarString(name), name);
  }
  for (const { image } of wanted.values()) {
    if (platform === null || fits(image.document.config, platform)) continue;
    throw new NotFoundError(`no suitable export target found for platform ${platformText(platform)}`);
  }
  return [...wanted.values()].map(({ image, names }) => ({ image, names: [...names.values()] }));
}

interface Found {
  readonly image: StoredImage;
  readonly name: NamedReference | null;
}

function imagesNamed(catalog: ImageCatalog, text: string): readonly Found[] {
  const id = fullId(text);
  if (id !== null) return [{ image: catalog.lookUp(id), name: null }];
  const reference = catalog.referenceOf(text);
  if (familiarName(reference) === 'sha256') return [{ image: byId(catalog, text), name: null }];
  if (reference.tag === null && reference.digest === null) return imagesOfRepository(catalog, reference, text);
  const named = catalog.named(reference);
  const image = named === null ? null : catalog.get(named);
  if (image === null) throw new NotFoundError('reference does not exist');
  return [{ image, name: reference.digest === null ? reference : null }];
}

function imagesOfRepository(catalog: ImageCatalog, reference: NamedReference, text: string): readonly Found[] {
  const repository = canonicalName(reference);
  const named = [
    ...catalog.tables.tagsIn(repository).map((row) => ({ id: row.imageId, name: referenceOfTag(row) })),
    ...catalog.tables.digestsIn(repository).map((row) => ({ id: row.imageId, name: null })),
  ].flatMap(({ id, name }) => {
    const image = catalog.get(id);
    return image === null ? [] : [{ image, name }];
  });
  return named.length > 0 ? named : [{ image: byId(catalog, text), name: null }];
}

function byId(catalog: ImageCatalog, text: string): StoredImage {
  try {
    return catalog.lookUp(text);
  } catch (error) {
    // Docker looks for an id here, and says so.
    throw error instanceof NotFoundError ? new NotFoundError(`No such image: ${text}`, { cause: error }) : error;
  }
}
