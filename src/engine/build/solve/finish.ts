import { InvalidArgumentError } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import { writeImages } from '../../images/write.ts';
import type { Digest, ImageId } from '../../oci/digest.ts';
import { familiarString, type NamedReference } from '../../oci/reference.ts';
import type { BuildSink } from '../types.ts';
import type { BuildJob } from './job.ts';
import type { StageState } from './state.ts';

export interface FinishOptions {
  readonly tags: readonly NamedReference[];
  /** Of arguments that nobody used; null: none. */
  readonly warning: string | null;
  readonly sink: BuildSink;
}

/** Stores the image with those that it was made on, names it, and says so. */
export async function finish(job: BuildJob, state: StageState, options: FinishOptions): Promise<ImageId> {
  const { image, made } = state;
  const { tags, warning, sink } = options;
  const { store, content, drafts } = job.ground;
  const { catalog } = store;
  if (image === null) throw new InvalidArgumentError('No image was generated. Is your Dockerfile empty?');
  const { id } = image;
  const say = async (text: string): Promise<void> => sink({ kind: 'stream', text: `${text}\n` });
  await job.holds.add({ layers: [], blobs: made.map((one) => one.id) });
  await content.sync(layerBlobsMade(state));
  const isNew = catalog.get(id) === null || drafts.isDraft(id);
  await writeImages({ catalog, content }, made, {
    names: made.length > 0 ? tags : [],
    also: () => {
      for (const one of made) drafts.keep(one.id);
      // Nothing was added to the base: it is the base that gets the names.
      if (made.length === 0) for (const name of tags) catalog.setTag(id, name);
    },
    signal: job.signal,
  });
  if (isNew) catalog.publish('create', id, id, image);
  await sink({ kind: 'image', id });
  if (warning !== null) await say(warning);
  await say(`Successfully built ${shortId(id)}`);
  for (const name of tags) {
    catalog.publish('tag', id, familiarString(name), image);
    await say(`Successfully tagged ${familiarString(name)}`);
  }
  return id;
}

/** Blobs of the layers that stand on the base. */
function layerBlobsMade({ image, base }: StageState): readonly Digest[] {
  const below = base?.document.blobs.layers.length ?? 0;
  return (image?.document.blobs.layers ?? []).slice(below).map(({ digest }) => digest);
}
