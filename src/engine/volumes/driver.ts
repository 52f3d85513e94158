/**
 * Volume drivers keep named directories that outlive containers.
 *
 * Story: `-v data:/var/lib/x`: the volumes room creates `data` when it is missing, the containers room asks for its
 * `mount()` at start and `release()` after the exit; an empty volume is first filled with what the image has there.
 */
import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Mount } from '../oci/mount.ts';

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  readonly createdAt: Timestamp;
  readonly mountPoint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Made by the engine for one container (`-v /path`), so `rm -v` and `--rm` take it away. */
  readonly anonymous: boolean;
}

export interface VolumeDriver {
  readonly name: string;
  validate(options: Readonly<Record<string, string>>): void;
  /** Makes the directory; idempotent. Returns the mount point. */
  create(name: string): Promise<string>;
  /** How to mount it into a container. */
  mount(volume: VolumeRecord): Promise<Mount>;
  /** Deletes it with its content; idempotent. */
  remove(volume: VolumeRecord): Promise<void>;
}

/** Work on the content of a volume, whatever driver keeps it; the composition root hands in the storage room's. */
export interface VolumeContents {
  /** Bytes of all files below a directory; 0 when it is not there. */
  measure(directory: string): Promise<number>;
  /** A tar of everything below a directory, with owners, modes, times, extended attributes, links and holes. */
  pack(directory: string): Readable;
  /** Takes a tar (gzip, zstd or plain) to a place of its own, whole or not at all. */
  receive(tar: Readable, options: TransferOptions): Promise<ReceivedArchive>;
  /**
   * Unpacks it into a directory, over what is there; nothing in it can lead out. InvalidArgumentError for a hostile or
   * broken one, UnavailableError when the disk is full.
   */
  unpack(archive: ReceivedArchive, directory: string, options: TransferOptions): Promise<void>;
}

/** How a transfer is watched and ended. */
export interface TransferOptions {
  readonly signal: AbortSignal;
  /** Bytes so far. */
  readonly onProgress: (bytes: number) => void;
}

/** An archive that was received; disposing gives its room back. */
export interface ReceivedArchive extends AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Where an import stands. */
export interface ImportProgress {
  readonly phase: 'receiving' | 'unpacking';
  readonly done: number;
  /** 0 while it is not known. */
  readonly total: number;
}

/** The volumes room's door. */
export interface Volumes {
  list(): readonly VolumeRecord[];
  /** NotFoundError `get x: no such volume`. */
  get(name: string): VolumeRecord;
  /** Creates or returns the existing one. InvalidArgumentError for a bad name or option. */
  create(request: {
    readonly name: string | null;
    readonly driver: string | null;
    readonly labels: Readonly<Record<string, string>>;
    readonly options: Readonly<Record<string, string>>;
    readonly anonymous?: boolean;
  }): Promise<VolumeRecord>;
  /** ConflictError `remove x: volume is in use - [ids]` while a container refers to it; `force` ignores absence. */
  remove(name: string, options: { readonly force: boolean }): Promise<void>;
  /** Says that a container refers to volumes; kept in state. */
  hold(containerId: ContainerId, names: readonly string[]): void;
  release(containerId: ContainerId): void;
  usersOf(name: string): readonly ContainerId[];
  /** Bytes of its content, counted now. NotFoundError. */
  usage(name: string): Promise<number>;
  /** Its content as a tar, read while it may change: what goes away meanwhile is left out. NotFoundError. */
  export(name: string): Readable;
  /**
   * Unpacks a tar (gzip, zstd or plain) over its content. ConflictError `… volume is in use - [ids]` while a container
   * refers to it, unless forced. Nothing is touched before the whole of the tar has come; a hostile or broken one ends
   * with InvalidArgumentError and may leave what came before the fault.
   */
  import(
    name: string,
    tar: Readable,
    options: {
      readonly force: boolean;
      readonly signal: AbortSignal;
      readonly progress: (progress: ImportProgress) => void;
    },
  ): Promise<void>;
  mount(name: string): Promise<Mount>;
}
