/**
 * Which blob holds a layer. An image's document names the blobs it came with, but not each of them is there: a pull
 * does not fetch the blob of a layer that is unpacked already and kept as another blob. Any blob of the same diff id
 * unpacks to the same layer, so that one will do; the image notes it as its *stand-in*, which keeps it when the image
 * that brought it goes.
 */
import { shortId } from '../../base/ids.ts';
import type { Digest, DiffId, ImageId } from '../oci/digest.ts';
import type { ImageContext } from './context.ts';
import type { ImageDocument } from './record.ts';
import type { LayerBlob } from './types.ts';

/** The blobs of all layers of an image; they stay until this is disposed of. */
export interface HeldLayerBlobs extends AsyncDisposable {
  /** One a layer, lowest first; null where no blob holds the layer. */
  readonly blobs: readonly (LayerBlob | null)[];
}

type Needs = Pick<ImageContext, 'catalog' | 'content'>;
/** The part of a document that tells of blobs: an image that is on its way has one, too. */
type BlobDocument = Pick<ImageDocument, 'config' | 'blobs'>;

/**
 * One a layer, lowest first: the image's own blob if it is there, else its stand-in, else one that another stored image
 * has for the same diff id, else null.
 */
export async function keptLayerBlobs(context: Needs, document: BlobDocument): Promise<readonly (LayerBlob | null)[]> {
  return await Promise.all(candidatesFor(context, document).map(async (blobs) => firstKept(context, blobs)));
}

/** {@link keptLayerBlobs}, kept from removal for as long as somebody reads them. */
export async function holdLayerBlobs(
  context: Needs & Pick<ImageContext, 'collector'>,
  document: BlobDocument,
): Promise<HeldLayerBlobs> {
  const candidates = candidatesFor(context, document);
  // Kept first and looked for then: what is seen stays.
  const kept = await holdBlobs(
    context,
    candidates.flatMap((blobs) => blobs.map(({ digest }) => digest)),
  );
  try {
    const blobs = await Promise.all(candidates.map(async (some) => firstKept(context, some)));
    return { blobs, [Symbol.asyncDispose]: async () => kept[Symbol.asyncDispose]() };
  } catch (error) {
    await kept[Symbol.asyncDispose]();
    throw error;
  }
}

/** Says of a layer that no blob holds what became of it. */
export function lostLayer({ upkeep }: Pick<ImageContext, 'upkeep'>, id: ImageId, diffId: DiffId): string {
  const fate = upkeep.flawsOf(id).length > 0 ? 'was found damaged and is gone' : 'is not kept here any more';
  return `the content of layer ${shortId(diffId)} ${fate}`;
}

/** Keeps blobs from removal until disposed of; what lost its last image meanwhile goes then. */
export async function holdBlobs(
  { collector }: Pick<ImageContext, 'collector'>,
  digests: readonly Digest[],
): Promise<AsyncDisposable> {
  const pin = await collector.pin({ layers: [], blobs: digests });
  return {
    [Symbol.asyncDispose]: async () => {
      pin[Symbol.dispose]();
      await collector.collect({ layers: [], blobs: digests });
    },
  };
}

/** The document with what stands in for blobs that it names and that are not there; `kept` has one a layer. */
export function withStandIns<T extends BlobDocument>(document: T, kept: readonly (LayerBlob | null)[]): T {
  const { manifest, layers } = document.blobs;
  const standIns = document.config.rootfs.diff_ids.flatMap((diffId, index) => {
    const blob = kept[index] ?? null;
    if (blob === null || blob.digest === layers[index]?.digest) return [];
    const { digest, sizeBytes, mediaType } = blob;
    return [{ diffId, digest, sizeBytes, mediaType }];
  });
  return { ...document, blobs: { manifest, layers, ...(standIns.length === 0 ? {} : { standIns }) } };
}

async function firstKept({ content }: Needs, blobs: readonly LayerBlob[]): Promise<LayerBlob | null> {
  for (const blob of blobs) {
    const info = await content.stat(blob.digest);
    if (info !== null) return { ...blob, sizeBytes: info.sizeBytes };
  }
  return null;
}

/** All blobs that are said to hold each layer, the image's own first. One pass over the catalog, however many layers. */
function candidatesFor({ catalog }: Needs, document: BlobDocument): readonly (readonly LayerBlob[])[] {
  const { diff_ids: diffIds } = document.config.rootfs;
  const known = new Map<DiffId, Map<Digest, LayerBlob>>(diffIds.map((diffId) => [diffId, new Map()]));
  for (const one of [document, ...catalog.all().map((image) => image.document)]) {
    for (const [diffId, blob] of blobsNamedIn(one)) {
      const blobs = known.get(diffId);
      if (blobs?.has(blob.digest) === false) blobs.set(blob.digest, blob);
    }
  }
  return diffIds.map((diffId, index) => {
    const all = [...(known.get(diffId)?.values() ?? [])];
    const own = document.blobs.layers[index];
    return own === undefined ? all : [own, ...all.filter(({ digest }) => digest !== own.digest)];
  });
}

/** Every blob that a document names, with the diff id that it unpacks to. */
export function* blobsNamedIn({ config, blobs }: BlobDocument): Generator<readonly [DiffId, LayerBlob]> {
  for (const [index, diffId] of config.rootfs.diff_ids.entries()) {
    const blob = blobs.layers[index];
    if (blob !== undefined) yield [diffId, blob];
  }
  for (const { diffId, ...blob } of blobs.standIns ?? []) yield [diffId, blob];
}
