import type { ImageContext } from './context.ts';
import type { ImageHistoryRow } from './types.ts';

/** Newest first. An empty layer adds no bytes; rows below the image itself have no id here, as with any pulled image. */
export function historyOf({ catalog }: ImageContext, ref: string): readonly ImageHistoryRow[] {
  const image = catalog.lookUp(ref);
  const { config, layers } = image.document;
  let next = 0;
  const rows = (config.history ?? []).map((entry): ImageHistoryRow => {
    const layer = entry.empty_layer === true ? undefined : layers[next++];
    return { id: '<missing>', entry, sizeBytes: layer?.sizeBytes ?? 0, tags: [] };
  });
  const top = rows.pop();
  if (top !== undefined) rows.push({ ...top, id: image.id, tags: catalog.view(image).tags });
  return rows.toReversed();
}
