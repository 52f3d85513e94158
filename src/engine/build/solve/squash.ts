/** `--squash`, as dockerd's first builder has it: one layer of all that a stage has made, its history kept beside it. */
import { formatTimestamp, type Timestamp } from '../../../base/clock.ts';
import { layerBlob, newImage } from '../../images/write.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import { candidatesOf } from '../cache/step-cache.ts';
import type { BuildJob } from './job.ts';
import type { StageState } from './state.ts';

type Image = NonNullable<StageState['image']>;

/** The stage with one layer on what its FROM names; as it is where nothing was done on that. */
export async function squashed(job: BuildJob, state: StageState): Promise<StageState> {
  const { image, from } = state;
  if (image === null || image.id === from?.id) return state;
  const merged = squashedImage(job, { image, from, layer: await onlyLayer(job, image, from) });
  return { ...state, image: merged, made: [merged] };
}

/** What the image adds to `from`, in one layer; null: nothing. */
async function onlyLayer(job: BuildJob, { document }: Image, from: Image | null): Promise<CapturedLayer | null> {
  const { ground, holds, signal } = job;
  const { content, layers, trees } = ground;
  const below = from?.document.layers.length ?? 0;
  const added = document.layers.slice(below).map((layer, index): CapturedLayer => {
    const diffId = document.config.rootfs.diff_ids[below + index];
    const blob = document.blobs.layers[below + index];
    if (diffId === undefined || blob === undefined) throw new RangeError('an image lacks one of its layers');
    return { ...layer, diffId, blob };
  });
  const [only = null] = added;
  if (added.length <= 1) return only;
  const parent = from?.document.layers.at(-1)?.chainId ?? null;
  const blobPaths = await Promise.all(added.map(async ({ blob }) => content.pathOf(blob.digest)));
  await using draft = await content.draft();
  const merged = await trees.merge({ parent, blobPaths, blobPath: draft.path, latestTime: job.epoch, signal });
  if (merged === null) return null;
  await holds.add(candidatesOf(merged));
  // An equal layer that somebody else removed meanwhile has gone with this one.
  if ((await layers.stat(merged.chainId)) === null)
    await layers.unpack({ blobPath: draft.path, parent, diffId: merged.diffId, signal });
  await draft.publish(merged.blob, { isLasting: false });
  return merged;
}

function squashedImage(
  { ground, epoch }: BuildJob,
  { image, from, layer }: { readonly image: Image; readonly from: Image | null; readonly layer: CapturedLayer | null },
): Image & { readonly bytes: Buffer } {
  const { parent: _, ...document } = image.document;
  const { config } = document;
  const below = from?.document;
  const base = below ?? { config: { rootfs: { diff_ids: [] } }, sizeBytes: 0, layers: [], blobs: { layers: [] } };
  const seconds = epoch === null ? null : BigInt(epoch);
  const created = formatTimestamp(seconds === null ? ground.clock.now() : ((seconds * 1_000_000_000n) as Timestamp));
  const past = below?.config.history?.length ?? 0;
  const history = (config.history ?? []).map((entry, index) =>
    index < past ? entry : { ...entry, empty_layer: true },
  );
  const comment = from === null ? `create new from ${image.id}` : `merge ${image.id} to ${from.id}`;
  return newImage({
    ...document,
    config: {
      ...config,
      created,
      history: [...history, { created, comment, ...(layer === null ? { empty_layer: true } : {}) }],
      rootfs: { type: 'layers', diff_ids: [...base.config.rootfs.diff_ids, ...(layer === null ? [] : [layer.diffId])] },
    },
    sizeBytes: base.sizeBytes + (layer?.sizeBytes ?? 0),
    layers: [...base.layers, ...(layer === null ? [] : [{ chainId: layer.chainId, sizeBytes: layer.sizeBytes }])],
    blobs: {
      ...document.blobs,
      manifest: null,
      layers: [...base.blobs.layers, ...(layer === null ? [] : [layerBlob(layer)])],
    },
  });
}
