import { DataLossError } from '../../base/errors.ts';
import type { Platform } from '../oci/image-spec.ts';
import type { ImageContext } from './context.ts';
import { assertFits } from './platforms.ts';
import type { ImageHistoryRow } from './types.ts';

/**
 * Newest first. An empty layer adds no bytes. The first row has the image's id, the next ones those of its parents as far
 * as they are known, one image a row, as dockerd has it; what came from a registry has no parents.
 */
export function historyOf(
  { catalog }: ImageContext,
  ref: string,
  platform: Platform | null,
): readonly ImageHistoryRow[] {
  const image = catalog.lookUp(ref);
  const { config, layers } = image.document;
  assertFits(ref, config, platform);
  let next = 0;
  const rows = (config.history ?? []).map((entry) => {
    const layer = entry.empty_layer === true ? null : layers[next++];
    if (layer === undefined) throw new DataLossError('too many non-empty layers in History section');
    return { entry, sizeBytes: layer?.sizeBytes ?? 0 };
  });
  let owner: typeof image | null = image;
  return rows.toReversed().map((row) => {
    if (owner === null) return { ...row, id: '<missing>', tags: [] };
    const { id, tags } = catalog.view(owner);
    const parent = catalog.parentOf(owner);
    owner = parent === null ? null : catalog.get(parent);
    return { ...row, id, tags };
  });
}
