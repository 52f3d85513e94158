import { InternalError, UnavailableError } from '../../../../base/errors.ts';
import type { Digest } from '../../../oci/digest.ts';
import type { LayerPacker, WrittenBlob } from '../../packing.ts';
import type { LayerWorkers } from '../workers.ts';

/** {@link LayerPacker.compress}, by a worker. Rejects with the signal's reason when the worker has let go of the files. */
export async function compress(
  workers: LayerWorkers,
  { plainPath, blobPath, onProgress, signal }: Parameters<LayerPacker['compress']>[0],
): Promise<WrittenBlob> {
  const outcome = await workers.run({ kind: 'compress', plainPath, blobPath }, { onProgress, signal });
  switch (outcome.kind) {
    case 'done':
      return { digest: outcome.result.digest as Digest, sizeBytes: outcome.result.sizeBytes };
    case 'failed':
      throw outcome.error === 'unavailable'
        ? new UnavailableError(outcome.message)
        : new InternalError(outcome.message);
    default:
      throw new InternalError(`compressing ${plainPath} ended early: ${outcome.kind}`);
  }
}
