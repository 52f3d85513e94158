import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ChainId, Digest, ImageId } from '../oci/digest.ts';
import type { HistoryEntry, ImageConfig, Platform } from '../oci/image-spec.ts';
import type { RegistryAuth } from '../registry/client.ts';

/** One image as the facade shows it. */
export interface ImageView {
  readonly id: ImageId;
  /** `busybox:latest` …, as users write them. */
  readonly tags: readonly string[];
  /** `busybox@sha256:…` */
  readonly digests: readonly string[];
  readonly config: ImageConfig;
  /** All layers unpacked, in bytes. */
  readonly sizeBytes: number;
  /** Top of the layer stack; null for an image without layers. */
  readonly chainId: ChainId | null;
  readonly layerChainIds: readonly ChainId[];
  /** Unpacked bytes of each layer of `layerChainIds`. */
  readonly layerSizes: readonly number[];
  readonly lastTaggedAt: Timestamp | null;
}

/** Docker's history row; `id` is `<missing>` but for the image itself. */
export interface ImageHistoryRow {
  readonly id: string;
  readonly entry: HistoryEntry;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
}

/** What to list. All conditions must hold. */
export interface ImageFilter {
  readonly all: boolean;
  readonly references: readonly string[];
  readonly dangling: boolean | null;
  /** `key` or `key=value`. */
  readonly labels: readonly string[];
  readonly before: string | null;
  readonly since: string | null;
}

/** The filter that lets everything through. */
export const EVERY_IMAGE: ImageFilter = {
  all: true,
  references: [],
  dangling: null,
  labels: [],
  before: null,
  since: null,
};

/** Unpacked bytes of all layers, one that many images share counted once. */
export function layerBytesOf(images: readonly ImageView[]): number {
  const layers = new Map(
    images.flatMap(({ layerChainIds, layerSizes }) => layerChainIds.map((id, i) => [id, layerSizes[i] ?? 0] as const)),
  );
  return [...layers.values()].reduce((sum, size) => sum + size, 0);
}

/** One record of a progress stream, in Docker's words; the front adds nothing but JSON. */
export interface Progress {
  readonly status?: string;
  /** Short id of the layer, or the tag for the first line. */
  readonly id?: string;
  readonly current?: number;
  readonly total?: number;
  /** A line of `load`. */
  readonly stream?: string;
}

/** Called for each record, in order; must not block. */
export type ProgressSink = (progress: Progress) => void;

/** What removal did, in order. */
export type ImageRemoval = { readonly untagged: string } | { readonly deleted: string };

/** The image room's door for the facade and for containers. */
export interface Images {
  list(filter: ImageFilter): Promise<readonly ImageView[]>;
  /** By name, id or unique id prefix. NotFoundError `No such image: x:latest`. */
  get(ref: string): ImageView;
  /** Null instead of NotFoundError, for `ImageID` lookups of containers whose image was forced away. */
  find(ref: string): ImageView | null;
  history(ref: string): readonly ImageHistoryRow[];
  /**
   * Pulls a tag or digest; without either, every tag of the repository, as Docker does (the last image is returned).
   * Errors before the first progress record are thrown with their kind; the same error may come
   * after progress was given: the front decides how to show it. Idempotent; joins an equal pull already under way.
   */
  pull(
    reference: string,
    options: {
      readonly platform: Platform | null;
      readonly auth: RegistryAuth | null;
      readonly progress: ProgressSink;
      readonly signal: AbortSignal;
    },
  ): Promise<ImageView>;
  /** Reads a docker archive or OCI layout tar (gzip, zstd or plain); returns the images of it. */
  load(
    archive: Readable,
    options: { readonly quiet: boolean; readonly progress: ProgressSink; readonly signal: AbortSignal },
  ): Promise<readonly ImageId[]>;
  /** Makes a one-layer image of a root file system tar (gzip, zstd or plain); returns its id. `changes` are Dockerfile lines. */
  importTar(
    archive: Readable,
    options: {
      readonly repository: string | null;
      readonly tag: string | null;
      readonly message: string;
      readonly changes: readonly string[];
      readonly platform: Platform | null;
      readonly signal: AbortSignal;
    },
  ): Promise<ImageId>;
  tag(ref: string, repository: string, tag: string | null): void;
  /** Takes one name away; the image stays, also without a name. InvalidArgumentError for an id. */
  untag(reference: string): void;
  /** The digest that a name has in its registry now. Brings nothing else. */
  remoteDigest(
    reference: string,
    options: { readonly auth: RegistryAuth | null; readonly signal: AbortSignal },
  ): Promise<Digest>;
  /** ConflictError in Docker's words when in use or ambiguous. */
  remove(ref: string, options: { readonly force: boolean; readonly prune: boolean }): Promise<readonly ImageRemoval[]>;
  /** Checks credentials; returns an identity token or ''. */
  authenticate(serverAddress: string, auth: RegistryAuth, signal: AbortSignal): Promise<string>;
  /** Calls back at once when an image has come, gone (`find` gives null) or bears other names. */
  watch(listener: (id: ImageId) => void): Disposable;
}

/** Which containers use an image; given to the image room by the containers room. */
export interface ImageUsers {
  /** Container ids with whether they run, by image id. */
  containersOf(imageId: ImageId): readonly { readonly id: string; readonly running: boolean }[];
}

/** A blob reference kept with an image, for push and save. */
export interface ImageBlobs {
  readonly manifest: Digest | null;
  readonly layers: readonly { readonly digest: Digest; readonly sizeBytes: number; readonly mediaType: string }[];
}
