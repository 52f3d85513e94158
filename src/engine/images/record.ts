import type { ChainId, Digest, ImageId } from '../oci/digest.ts';
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
  /** The image that a commit or build step was made on; none for one that came from elsewhere. */
  readonly parent?: ImageId;
}

/** What an image needs of the content store, and what therefore stays there as long as the image does. */
export function neededBlobs(
  id: ImageId,
  { blobs: { manifest, layers, standIns = [] } }: ImageDocument,
): readonly Digest[] {
  const held = [...layers, ...standIns].map(({ digest }) => digest);
  return [...new Set([id, ...(manifest === null ? [] : [manifest]), ...held])];
}
