import { DataLossError, EngineError, messageOf } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import { chainIdsOf, type ChainId, type DiffId } from '../../oci/digest.ts';
import type { UnpackedLayer } from '../../storage/layers.ts';
import type { ArchivedImage } from './images.ts';
import type { ImageContext } from '../context.ts';
import { ProgressMeter } from '../progress.ts';
import type { SpooledArchive, SpooledFile } from './spool.ts';
import type { ProgressSink } from '../types.ts';

export interface LoadOptions {
  readonly quiet: boolean;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

interface LayerToLoad {
  readonly file: SpooledFile;
  readonly diffId: DiffId;
  readonly chainId: ChainId;
  readonly parent: ChainId | null;
  readonly index: number;
}

/** All layers of an image at once, also before their parents. The first failure stops the others; all have ended then. */
export async function unpackLayers(
  context: ImageContext,
  archive: SpooledArchive,
  image: ArchivedImage,
  options: LoadOptions,
): Promise<readonly UnpackedLayer[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const layers = layersOf(image);
  using _coming = context.layers.announce(layers.map(({ chainId }) => chainId));
  const jobs = layers.map(async (layer) => {
    try {
      return await unpackLayer(context, archive, layer, { ...options, signal });
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  const results = await Promise.allSettled(jobs);
  options.signal.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

function layersOf({ layers }: ArchivedImage): readonly LayerToLoad[] {
  const chainIds = chainIdsOf(layers.map(({ diffId }) => diffId));
  return layers.flatMap(({ diffId, file }, index) => {
    const chainId = chainIds[index];
    return chainId === undefined ? [] : [{ file, diffId, chainId, parent: chainIds[index - 1] ?? null, index }];
  });
}

async function unpackLayer(
  { layers, clock }: ImageContext,
  archive: SpooledArchive,
  layer: LayerToLoad,
  { quiet, progress, signal }: LoadOptions,
): Promise<UnpackedLayer> {
  signal.throwIfAborted();
  const { file, diffId, parent } = layer;
  const present = await layers.stat(layer.chainId);
  if (present !== null) return present;
  const total = file.kind === 'bytes' ? file.bytes.length : file.sizeBytes;
  const record = { status: 'Loading layer', id: shortId(diffId), total };
  const meter = new ProgressMeter(quiet ? () => undefined : progress, clock, record);
  try {
    const blobPath = await archive.pathOf(file);
    const onProgress = (bytes: number): void => meter.update(bytes);
    const unpacked = await layers.unpack({ blobPath, parent, diffId, signal, onProgress });
    meter.finish();
    return unpacked;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DataLossError) {
      const got = error.message.replace(/^.*, got /, '');
      throw new DataLossError(`invalid diffID for layer ${String(layer.index)}: expected "${diffId}", got ${got}`);
    }
    const kind = error instanceof EngineError ? error.kind : 'internal';
    throw new EngineError(kind, messageOf(error), { cause: error });
  }
}
