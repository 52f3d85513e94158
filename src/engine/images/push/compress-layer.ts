import { shortId } from '../../../base/ids.ts';
import type { Digest, DiffId } from '../../oci/digest.ts';
import { MediaType } from '../../oci/image-spec.ts';
import type { ImageContext } from '../context.ts';
import { blobsNamedIn } from '../layer-blobs.ts';
import { ProgressMeter } from '../progress.ts';
import type { LayerBlob, ProgressSink } from '../types.ts';

/** True for a layer that is kept as a tar without compression. */
export function isPlain({ mediaType }: LayerBlob): boolean {
  return mediaType.endsWith('.tar');
}

/**
 * Compresses a plain layer for good: the images that no manifest binds to the plain blob have the compressed one from
 * then on, so that it is done once.
 */
export async function compressLayer(
  context: ImageContext,
  plain: LayerBlob,
  diffId: DiffId,
  { progress, signal }: { readonly progress: ProgressSink; readonly signal: AbortSignal },
): Promise<LayerBlob> {
  const { content, packer, clock } = context;
  const job = async (): Promise<LayerBlob> => {
    const done = await successorOf(context, diffId);
    if (done !== null) {
      replaceEverywhere(context, plain.digest, done);
      return done;
    }
    await using draft = await content.draft();
    const meter = new ProgressMeter(progress, clock, {
      status: 'Preparing',
      id: shortId(diffId),
      total: plain.sizeBytes,
    });
    const written = await packer.compress({
      plainPath: await content.pathOf(plain.digest),
      blobPath: draft.path,
      onProgress: (readBytes) => meter.update(readBytes),
      signal,
    });
    using _pin = await context.collector.pin({ layers: [], blobs: [written.digest] });
    await draft.publish(written);
    const packed = { ...written, mediaType: MediaType.dockerLayerGzip };
    replaceEverywhere(context, plain.digest, packed);
    return packed;
  };
  return await context.blobLock.hold(plain.digest, job, signal);
}

/** A compressed blob of the same layer that another image or an earlier push has brought. */
async function successorOf({ catalog, content }: ImageContext, diffId: DiffId): Promise<LayerBlob | null> {
  for (const { document } of catalog.all()) {
    for (const [id, blob] of blobsNamedIn(document)) {
      if (id === diffId && !isPlain(blob) && (await content.stat(blob.digest)) !== null) return blob;
    }
  }
  return null;
}

function replaceEverywhere({ catalog }: ImageContext, plain: Digest, packed: LayerBlob): void {
  const swap = <T extends LayerBlob>(blob: T): T => (blob.digest === plain ? { ...blob, ...packed } : blob);
  catalog.transaction(() => {
    for (const { id, document } of catalog.all()) {
      const { manifest, layers, standIns = [] } = document.blobs;
      const isNamed = manifest === null && layers.some(({ digest }) => digest === plain);
      if (!isNamed && !standIns.some(({ digest }) => digest === plain)) continue;
      const blobs = {
        manifest,
        layers: isNamed ? layers.map(swap) : layers,
        ...(standIns.length === 0 ? {} : { standIns: standIns.map(swap) }),
      };
      catalog.replace({ id, document: { ...document, blobs } });
    }
  });
}
