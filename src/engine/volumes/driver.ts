/**
 * Volume drivers keep named directories that outlive containers.
 *
 * Vocabulary: a volume's *mount point* is the directory on the host that containers get; its *superblock* is what must be
 * mounted on that directory while the volume is used (a tmpfs, a share on the network); most volumes have none and are
 * the directory itself. A *user* is a running container.
 *
 * Story 1: `-v data:/var/lib/x`: the volumes room creates `data` when it is missing; an empty volume is first filled with
 * what the image has there.
 *
 * Story 2, a share: `docker volume create -o type=nfs -o o=addr=nas -o device=:/export share`; the first container that
 * starts with it calls `mount()`, which mounts the share; the next gets it as it is; the `unmount()` of the last one
 * takes it away. A daemon that was killed in between learns from `settle()` who runs, and takes away what nobody uses.
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
  /** InvalidArgumentError in Docker's words. */
  validate(options: Readonly<Record<string, string>>): void;
  /** Where the volume of this name lies, whether it is there or not. */
  mountPointOf(name: string): string;
  /** Makes the directory, with the owner, mode and limit that the options ask for; idempotent. */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  /** True where something is to be mounted on the mount point while the volume is used; false for a plain directory. */
  hasSuperblock(volume: VolumeRecord): boolean;
  /** What that is, addresses looked up. Only where there is one. */
  superblock(volume: VolumeRecord): Promise<Mount>;
  /** True where the options say whose the directory is: what the image has at the target does not change that. */
  keepsOwner(volume: VolumeRecord): boolean;
  /** Deletes it with its content, of which nothing may be mounted; idempotent. */
  remove(volume: VolumeRecord): Promise<void>;
  /** Volumes that lie there, whoever made them. */
  found(): Promise<readonly FoundVolume[]>;
}

/** A directory that has a volume's shape. */
export interface FoundVolume {
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly options: Readonly<Record<string, string>>;
}

/** Limits on directories that their file system keeps; the composition root hands in the storage room's. */
export interface VolumeQuotas {
  /** Why nothing can be limited, in words an administrator can act on; null when it can. */
  readonly obstacle: string | null;
  /** Makes an empty directory with a limit. */
  make(path: string, directory: { readonly sizeBytes: number; readonly mode: number }): Promise<void>;
  /** Gives up the limit before the directory goes, and perhaps the directory with it; idempotent. */
  drop(path: string): Promise<void>;
}

/** Mounts on the host; a call may take as long as a server on the network does, and does not hold up the caller's thread. */
export interface VolumeMounter {
  /** KernelError. */
  mount(mount: Mount, target: string): Promise<void>;
  /** Takes the topmost mount of `target` away, also when it is busy. */
  unmount(target: string): Promise<void>;
  /** Mount points at or below `prefix`, deepest first. */
  listBelow(prefix: string): readonly string[];
}

/** A volume that is ready for a container. */
export interface MountedVolume {
  /** How it goes into the container. */
  readonly mount: Mount;
  /** See {@link VolumeDriver.keepsOwner}. */
  readonly keepsOwner: boolean;
  /** It is a file system of its own: what is beside its directory lies on another one. */
  readonly isMounted: boolean;
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
  /**
   * Makes a volume ready for a container that starts, and counts that one as its user; idempotent. NotFoundError;
   * InternalError `error while mounting volume '…': …`.
   */
  mount(name: string, user: ContainerId): Promise<MountedVolume>;
  /** The container has ended: what was mounted for it is unmounted with its last user. Idempotent. */
  unmount(name: string, user: ContainerId): Promise<void>;
  /** Takes up directories that no row tells of, such as another engine's. Once, before anybody else is served. */
  adopt(): Promise<void>;
  /** Says who runs with which volumes after a start of the engine; what is mounted for nobody is unmounted. */
  settle(running: ReadonlyMap<ContainerId, readonly string[]>): Promise<void>;
}
