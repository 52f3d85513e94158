/** What a pull has to bring although its layer is there: what a damaged disk has lost, and blobs that nobody kept. */
import type { ChainId, ImageId } from '../../oci/digest.ts';
import type { ImageContext } from '../context.ts';
import { keptLayerBlobs } from '../layer-blobs.ts';
import type { ImageBlobs, LayerBlob } from '../types.ts';

type Needs = Pick<ImageContext, 'catalog' | 'content' | 'layers' | 'upkeep'>;

/** False when an image is not there, or lacks something that a pull would mend. */
export async function isWhole(context: Needs, id: ImageId): Promise<boolean> {
  const { catalog, content, layers, upkeep } = context;
  const image = catalog.get(id);
  if (image === null || upkeep.flawsOf(id).length > 0 || (await content.stat(id)) === null) return false;
  const { manifest } = image.document.blobs;
  if (manifest !== null && (await content.stat(manifest)) === null) return false;
  const present = await Promise.all(image.document.layers.map(async ({ chainId }) => layers.stat(chainId)));
  return !present.includes(null) && !(await keptLayerBlobs(context, image.document)).includes(null);
}

/** What a pull has to bring of a layer that is there: its tree once more, or only its blob. */
export type Loss = 'tree' | 'blob';

/** What is about to come. */
interface Coming {
  readonly id: ImageId;
  readonly blobs: ImageBlobs;
  /** Lowest first. */
  readonly chainIds: readonly ChainId[];
  /** One a layer: what of it is kept already, as its own blob or another. */
  readonly kept: readonly (LayerBlob | null)[];
}

/** By chain id; nothing for what is whole. A tree that any image lacks is damaged for every image. */
export function lossesOf(
  { catalog, upkeep }: Pick<Needs, 'catalog' | 'upkeep'>,
  { id, blobs, chainIds, kept }: Coming,
): ReadonlyMap<ChainId, Loss> {
  const losses = new Map<ChainId, Loss>();
  const before = catalog.get(id)?.document.blobs.manifest;
  // Another registry's manifest names other blobs: an image that was not whole is to have all of one.
  const isOther = before !== undefined && before !== blobs.manifest;
  for (const [index, chainId] of chainIds.entries()) {
    const [own, blob] = [blobs.layers[index], kept[index] ?? null];
    if (upkeep.isFlawed(chainId)) losses.set(chainId, 'tree');
    else if (own === undefined || blob?.digest === own.digest) continue;
    else if (blob === null || isOther || upkeep.isFlawed(own.digest)) losses.set(chainId, 'blob');
  }
  return losses;
}
