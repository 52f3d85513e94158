import type { ChainId } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/image-spec.ts';
import type { ImageBlobs } from './types.ts';

/** What column `image.doc` holds, as JSON. The config's exact bytes are a blob of their own, named by the image's id. */
export interface ImageDocument {
  readonly config: ImageConfig;
  /** All layers unpacked. */
  readonly sizeBytes: number;
  /** One a layer, lowest first. */
  readonly layers: readonly { readonly chainId: ChainId; readonly sizeBytes: number }[];
  readonly blobs: ImageBlobs;
}
