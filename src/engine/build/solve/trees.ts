/** What FROM, `COPY --from` and mounts name: stages and images. */
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { StageSource } from '../../dockerfile/stages.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { Progress } from '../../images/types.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { Platform } from '../../oci/image-spec.ts';
import type { SourceTree } from '../copy/types.ts';
import type { BuildJob, StagePlace } from './job.ts';
import { topOf } from './state.ts';
import type { StageVoice } from './transcript.ts';

/** The tree of a stage or image, once it is there; null: the context. */
export async function treeOf({ job, voice }: StagePlace, source: StageSource | null): Promise<SourceTree> {
  if (source === null) return { kind: 'directory', path: job.context.root };
  switch (source.kind) {
    case 'stage':
      return { kind: 'layers', top: topOf(await job.stage(source.index)) };
    case 'image': {
      const image = await baseImage(job, source.reference, { platform: job.request.platform, voice });
      return { kind: 'layers', top: image.document.layers.at(-1)?.chainId ?? null };
    }
    case 'scratch':
      return { kind: 'layers', top: null };
  }
}

/**
 * An image by its name, pulled where it is missing or newer ones are asked for, with all its layers here and held until
 * the build has ended. Errors as of a pull.
 */
export async function baseImage(
  job: BuildJob,
  reference: string,
  { platform, voice }: { readonly platform: Platform | null; readonly voice: StageVoice },
): Promise<StoredImage> {
  const { ground, request, signal } = job;
  const local = request.pull ? null : idHere(job, reference, platform);
  const id = local ?? (await pulled(job, reference, { platform, voice }));
  signal.throwIfAborted();
  const image = ground.store.catalog.get(id);
  if (image === null) throw new NotFoundError(`No such image: ${reference}`);
  await job.holds.add({
    layers: image.document.layers.map(({ chainId }) => chainId),
    blobs: ground.store.catalog.tables.blobsOf(id),
  });
  await ground.images.provide(id, signal);
  return image;
}

/** Null when it is not here, or here for another platform. */
function idHere({ ground }: BuildJob, reference: string, platform: Platform | null): ImageId | null {
  try {
    return ground.images.get(reference, platform).id;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

async function pulled(
  { ground, request, signal }: BuildJob,
  reference: string,
  { platform, voice }: { readonly platform: Platform | null; readonly voice: StageVoice },
): Promise<ImageId> {
  const progress = (record: Progress): void =>
    void voice.say({ kind: 'progress', progress: record }).catch(() => undefined);
  const name = nameOf(ground, reference);
  const auth = request.authFor(reference);
  return (await ground.images.pull(name, { platform, auth, progress, signal })).id;
}

/** A pull without a tag is of all tags; an id is not to be asked for at a registry. */
function nameOf({ images }: BuildJob['ground'], reference: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(reference)) {
    if (images.find(reference) === null) throw new NotFoundError(`No such image: ${reference}`);
    throw new InvalidArgumentError(`${reference} is an image id and cannot be pulled`);
  }
  const lastPart = reference.slice(reference.lastIndexOf('/') + 1);
  return lastPart.includes(':') || reference.includes('@') ? reference : `${reference}:latest`;
}
