import type { ChainId, DiffId } from '../oci/digest.ts';

/** Compression of a layer blob; found by its magic bytes, not believed from its media type. */
export type LayerCompression = 'none' | 'gzip' | 'zstd';

/** What is to be unpacked. */
export interface UnpackRequest {
  /** File that holds the (compressed) tar. */
  readonly blobPath: string;
  readonly parent: ChainId | null;
  /** Digest the uncompressed tar must have; null takes whatever it has (import). */
  readonly diffId: DiffId | null;
  /** Unpack although the layer is there, and put it in its place: what was there was damaged. With a `diffId` only. */
  readonly again?: boolean;
  /** Most bytes that it may take for itself: not for layers, but for what is written for a container. */
  readonly sizeBytes?: number | null;
  /** Called with bytes of the blob read so far, for progress. */
  readonly onProgress?: (readBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A layer that is there. */
export interface UnpackedLayer {
  readonly chainId: ChainId;
  readonly diffId: DiffId;
  /** Bytes of the files of this layer, as Docker counts `Size`. */
  readonly sizeBytes: number;
}

/**
 * Layers by chain id, on top of a storage driver: each is unpacked once however many callers ask for it at the same
 * time, and never becomes visible half written.
 */
export interface LayerStore {
  /** Null when the layer is not there. */
  stat(chainId: ChainId): Promise<UnpackedLayer | null>;
  /** Words of `GraphDriver.Data` for inspect; empty where the driver has none. NotFoundError. */
  describe(chainId: ChainId): Promise<Readonly<Record<string, string>>>;
  /**
   * Unpacks one layer; returns at once when its chain id exists. Siblings may unpack at the same time, and a child
   * while its parent does or before (see {@link LayerStore.announce}): it is written at once where the driver can
   * (overlay2), else when the parent is there (vfs), and never becomes visible before its parent.
   * NotFoundError when the parent is neither there nor on its way.
   * DataLossError when the tar's digest is not `diffId`; InvalidArgumentError in Docker's words for a hostile or broken
   * tar; UnavailableError when the disk is full. Leaves nothing behind on failure.
   */
  unpack(request: UnpackRequest): Promise<UnpackedLayer>;
  /**
   * Says that these layers are on their way, so that children may be unpacked before them: unpacking waits for an
   * announced parent. Dispose when they have all come, or will not. Announcements of several callers add up.
   */
  announce(chainIds: readonly ChainId[]): Disposable;
  /** Removes a layer; idempotent. ConflictError while it has a child or a container. */
  remove(chainId: ChainId): Promise<void>;
  /** At start-up, before anything else: takes away what a killed daemon left half made. */
  sweep(): Promise<void>;
}
