/**
 * What a migration asks of one driver's store: to say what is there, to pack what a snapshot changed, and to make the same
 * of it. Nothing here is half done when it is killed: a layer appears whole, and a container counts only when its row says
 * where it is.
 */
import type { ContainerId } from '../../base/ids.ts';
import type { ChainId, DiffId } from '../oci/digest.ts';
import type { LayerRow } from '../state/layers.ts';

/** Changes of a snapshot as a layer tar in the caller's file. */
export interface PackedChanges {
  /** Digest of the tar: two snapshots with the same changes have the same, whatever their drivers. */
  readonly diffId: DiffId;
  readonly isEmpty: boolean;
  /** What the root directory itself is, which no layer tells. */
  readonly root: RootAttributes;
  /** Which no tar has. */
  readonly sockets: readonly PackedSocket[];
}

/** The name of a socket, as a program left it. */
export interface PackedSocket {
  /** Byte string without a leading slash. */
  readonly path: string;
  /** With its type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
}

export interface RootAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  /** Those extended attributes that a layer would tell of any other file. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** What there is room for at a driver. */
export interface StorageRoom {
  readonly freeBytes: number;
  /** A snapshot takes what its parents hold once more. */
  readonly copiesParents: boolean;
}

/** What becomes a container's snapshot. */
export interface MovedContainer {
  readonly parent: ChainId | null;
  /** File with the packed changes, and what they are. */
  readonly blobPath: string;
  readonly changes: PackedChanges;
  /** As for `prepare`. */
  readonly sizeBytes: number | null;
}

export interface StorageSide {
  /** The driver's. */
  readonly name: string;
  /** Takes away what a killed engine or migration left half made or mounted. */
  settle(): Promise<void>;
  layer(chainId: ChainId): LayerRow | null;
  layers(): readonly LayerRow[];
  /** Null where the driver has no such snapshot. DataLossError when it cannot be read. */
  container(id: ContainerId): Promise<{ readonly parent: ChainId | null } | null>;
  /** Bytes of a snapshot alone, without its parents. */
  usage(key: string): Promise<number>;
  room(): Promise<StorageRoom>;
  /** Makes the layer of its blob; errors as the layer store's unpack. */
  unpack(row: LayerRow, blobPath: string, signal: AbortSignal): Promise<void>;
  /** Packs what a snapshot, active or committed, changed on its parent; into an existing file. */
  pack(key: string, blobPath: string, signal: AbortSignal): Promise<PackedChanges>;
  /** Makes the layer of what another driver packed, and checks that the same comes out again. */
  adoptLayer(
    row: LayerRow,
    packed: Pick<PackedChanges, 'diffId' | 'root'> & { readonly blobPath: string },
    signal: AbortSignal,
  ): Promise<void>;
  /** Makes a container's snapshot, in the place of what an attempt left; durable when it returns. */
  adoptContainer(id: ContainerId, moved: MovedContainer, signal: AbortSignal): Promise<void>;
  /** Takes away what {@link adoptContainer} made, whole or half; idempotent. */
  dropContainer(id: ContainerId): Promise<void>;
  /** Removes every layer and snapshot; returns how many. */
  removeAll(signal: AbortSignal): Promise<number>;
}
