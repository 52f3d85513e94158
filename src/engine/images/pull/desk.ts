import { createHash } from 'node:crypto';
import { familiarString, type NamedReference } from '../../oci/reference.ts';
import type { UnpackedLayer } from '../../storage/layers.ts';
import type { StoredImage } from '../catalog.ts';
import type { ImageContext } from '../context.ts';
import { pullImage, type PullOptions } from './pull.ts';
import { SharedJobs } from '../shared-jobs.ts';

/**
 * Joins equal pulls: same name, platform and credentials. Layers are joined on their own, so that pulls of images that
 * overlap share what they have in common. Either ends early only when the last who wants it has gone.
 */
export class PullDesk {
  readonly #context: ImageContext;
  readonly #pulls = new SharedJobs<StoredImage>();
  readonly #layers = new SharedJobs<UnpackedLayer>();

  constructor(context: ImageContext) {
    this.#context = context;
  }

  /** As {@link pullImage}; an abort leaves, and rejects with the signal's reason once the pull has let go or goes on for others. */
  async pull(reference: NamedReference, options: PullOptions): Promise<StoredImage> {
    const { platform, auth } = options;
    return await this.#pulls.join(keyOf(reference, options), options, async (watcher) =>
      pullImage(this.#context, reference, { platform, auth, ...watcher, sharedLayers: this.#layers }),
    );
  }
}

/** Hashed, so that no password lies in a map's keys. */
function keyOf(reference: NamedReference, { platform, auth }: PullOptions): string {
  const parts = [reference.domain, familiarString(reference), platform, auth];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
