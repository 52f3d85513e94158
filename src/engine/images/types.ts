import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ChainId, Digest, DiffId, ImageId } from '../oci/digest.ts';
import type { Descriptor, HistoryEntry, ImageConfig, ImageRunConfig, Platform } from '../oci/image-spec.ts';
import type { RegistryAuth, SearchResult } from '../registry/client.ts';

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
  /** The image that this one was committed or built on, while that is there. */
  readonly parent: ImageId | null;
}

/** Docker's history row; `id` is `<missing>` but for the image itself and its parents. */
export interface ImageHistoryRow {
  readonly id: string;
  readonly entry: HistoryEntry;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
}

/** What to list. All conditions must hold. */
export interface ImageFilter {
  /** Also images without a name that others were built on. */
  readonly all: boolean;
  /** Patterns of Go's `path.Match`; one of them must match a name. Names that do not match are hidden. */
  readonly references: readonly string[];
  readonly dangling: boolean | null;
  /** `key` or `key=value`; all of them. */
  readonly labels: readonly string[];
  /** None of them. */
  readonly withoutLabels: readonly string[];
  /** Images: created before all of them, after all of them. */
  readonly before: readonly string[];
  readonly since: readonly string[];
  /** Created before all of these: times, or ages (`24h`). */
  readonly until: readonly string[];
}

/** The filter that lets everything through. */
export const EVERY_IMAGE: ImageFilter = {
  all: true,
  references: [],
  dangling: null,
  labels: [],
  withoutLabels: [],
  before: [],
  since: [],
  until: [],
};

/** How many images stand on each layer, for {@link sharedBytesOf}. */
export function layerUsers(images: readonly Pick<ImageView, 'layerChainIds'>[]): ReadonlyMap<ChainId, number> {
  const users = new Map<ChainId, number>();
  for (const { layerChainIds } of images) for (const id of layerChainIds) users.set(id, (users.get(id) ?? 0) + 1);
  return users;
}

/** Unpacked bytes of the layers that an image shares with another one. */
export function sharedBytesOf(image: ImageView, users: ReadonlyMap<ChainId, number>): number {
  return image.layerChainIds.reduce(
    (sum, id, index) => sum + ((users.get(id) ?? 0) > 1 ? (image.layerSizes[index] ?? 0) : 0),
    0,
  );
}

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
  /** The end of a push: under which digest the registry has the tag. */
  readonly pushed?: { readonly tag: string; readonly digest: Digest; readonly sizeBytes: number };
}

/** Called for each record, in order; must not block. */
export type ProgressSink = (progress: Progress) => void;

/** An image as its registry has it. */
export interface RemoteImage {
  readonly descriptor: Descriptor;
  /** One for a manifest, one an entry for an index; none where the registry does not say. */
  readonly platforms: readonly Platform[];
}

/** What removal did, in order. */
export type ImageRemoval = { readonly untagged: string } | { readonly deleted: string };

/** What {@link Images.commit} makes an image of. */
export interface CommitRequest {
  /** Key of the container's snapshot. */
  readonly snapshot: string;
  /** The image that it stands on. NotFoundError when it has been forced away. */
  readonly parent: ImageId;
  readonly containerId: string;
  /** How the container is configured. */
  readonly containerConfig: ImageRunConfig;
  /** What the image is to have in its place; what it leaves open is the container's. */
  readonly config: ImageRunConfig | null;
  /** Dockerfile lines. */
  readonly changes: readonly string[];
  /** Null or '': no name. */
  readonly repository: string | null;
  readonly tag: string | null;
  readonly author: string;
  readonly comment: string;
  /** Paths that are the engine's own; see storage/packing.ts. */
  readonly scaffold: readonly string[];
  /** Called when the words were found to be good and the tree is about to be read. */
  readonly quiesce: () => Promise<void>;
  /** Called when the tree has been read: it may change again. A rejection ends the commit. */
  readonly onTaken: () => Promise<void>;
  readonly signal?: AbortSignal;
}

/** The image room's door for the facade and for containers. */
export interface Images {
  list(filter: ImageFilter): Promise<readonly ImageView[]>;
  /**
   * By name, id or unique id prefix. NotFoundError `No such image: x:latest`, also when it is there for another platform
   * than the one asked for.
   */
  get(ref: string, platform?: Platform | null): ImageView;
  /** Null instead of NotFoundError, for `ImageID` lookups of containers whose image was forced away. */
  find(ref: string): ImageView | null;
  /** Words of `GraphDriver.Data`: where the image's own layer lies. */
  describeStorage(ref: string): Promise<Readonly<Record<string, string>>>;
  history(ref: string, platform?: Platform | null): readonly ImageHistoryRow[];
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
  /**
   * Pushes a tag; without one, every tag of the repository (the last image is returned). A digest is refused. The first
   * progress record comes before anything can fail but `platform` (NotFoundError when the image is of another). Layers
   * that others push meanwhile to the same repository are sent once.
   */
  push(
    reference: string,
    options: {
      readonly platform: Platform | null;
      readonly auth: RegistryAuth | null;
      readonly progress: ProgressSink;
      readonly signal: AbortSignal;
    },
  ): Promise<ImageView>;
  /**
   * Reads a docker archive or OCI layout tar (gzip, zstd or plain); returns the images of it. With `platform`, images of
   * any other are left out (NotFoundError when that leaves none); without, an index gives what suits this machine.
   */
  load(
    archive: Readable,
    options: {
      readonly quiet: boolean;
      readonly platform?: Platform | null;
      readonly progress: ProgressSink;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly ImageId[]>;
  /**
   * One tar of the images that `references` name, an OCI layout and a docker archive at once: a bare repository is all its
   * tags, an id an image without a name. What can be wrong is thrown before the first byte (NotFoundError `reference does
   * not exist`); the stream must be read to its end or left, or the signal aborted.
   */
  save(
    references: readonly string[],
    options: { readonly platform: Platform | null; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Buffer>>;
  /**
   * Makes a one-layer image of a root file system tar (gzip, zstd or plain), which may have to be fetched by HTTP first;
   * returns its id. `changes` are Dockerfile lines; an empty `message` becomes Docker's own.
   */
  importTar(
    archive: Readable | { readonly address: string },
    options: {
      readonly repository: string | null;
      readonly tag: string | null;
      readonly message: string;
      readonly changes: readonly string[];
      readonly platform: Platform | null;
      /** Told of a download alone. */
      readonly progress?: ProgressSink;
      readonly signal: AbortSignal;
    },
  ): Promise<ImageId>;
  /**
   * Makes an image of a container's snapshot, with its name in the same transaction. InvalidArgumentError for words,
   * UnavailableError when the disk is full; leaves nothing on failure.
   */
  commit(request: CommitRequest): Promise<ImageId>;
  tag(ref: string, repository: string, tag: string | null): void;
  /** Takes one name away; the image stays, also without a name. InvalidArgumentError for an id. */
  untag(reference: string): void;
  /** The digest that a name has in its registry now. Brings nothing else. */
  remoteDigest(
    reference: string,
    options: { readonly auth: RegistryAuth | null; readonly signal: AbortSignal },
  ): Promise<Digest>;
  /** What a registry has under a name: the descriptor of manifest or index, and the platforms it is for. */
  distribution(
    reference: string,
    options: { readonly auth: RegistryAuth | null; readonly signal: AbortSignal },
  ): Promise<RemoteImage>;
  /**
   * Finds repositories: at Docker Hub, or with `host/term` at that registry. NotImplementedError where a registry offers
   * no way; InvalidArgumentError for a limit outside of 1 to 100.
   */
  search(
    term: string,
    options: { readonly limit: number; readonly auth: RegistryAuth | null; readonly signal: AbortSignal },
  ): Promise<readonly SearchResult[]>;
  /**
   * Deletes what a name means at its registry, with all other tags of the same manifest there; returns its digest.
   * Nothing here changes. NotFoundError; NotImplementedError where the registry does not delete.
   */
  removeRemote(
    reference: string,
    options: { readonly auth: RegistryAuth | null; readonly signal: AbortSignal },
  ): Promise<Digest>;
  /**
   * ConflictError in Docker's words when in use, ambiguous or another image's parent. `prune` takes parents along that
   * nobody needs any more.
   */
  remove(
    ref: string,
    options: { readonly force: boolean; readonly prune: boolean; readonly platform?: Platform | null },
  ): Promise<readonly ImageRemoval[]>;
  /** Checks credentials; returns an identity token or ''. */
  authenticate(serverAddress: string, auth: RegistryAuth, signal: AbortSignal): Promise<string>;
  /** When each image was last put to use: pulled, loaded, tagged, saved, pushed, or by a container that came, ran or went. */
  lastUses(): ReadonlyMap<ImageId, Timestamp>;
  /** A container that stood on these layers has gone: takes away those of them that nobody needs any more. */
  collectChain(top: ChainId): Promise<void>;
  /**
   * Sees to it that something can stand on the image's layers: unpacks, out of kept blobs, those that the storage driver in
   * use does not have. NotFoundError when a blob is gone.
   */
  provide(ref: string, signal?: AbortSignal): Promise<void>;
  /** Calls back at once when an image has come, gone (`find` gives null) or bears other names. */
  watch(listener: (id: ImageId) => void): Disposable;
}

/** Which containers use an image; given to the image room by the containers room. */
export interface ImageUsers {
  /** Container ids with whether they run, by image id. */
  containersOf(imageId: ImageId): readonly { readonly id: string; readonly running: boolean }[];
}

/** A layer as a blob of the content store: plain tar, gzip or zstd, as its media type says. */
export interface LayerBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

/** The blobs of an image, for push and save. */
export interface ImageBlobs {
  readonly manifest: Digest | null;
  /** As the image came, one a layer, lowest first. Not each of them need be there. */
  readonly layers: readonly LayerBlob[];
  /** Other blobs that hold layers of it, where those it came with were not fetched; kept for it as its own are. */
  readonly standIns?: readonly (LayerBlob & { readonly diffId: DiffId })[];
}
