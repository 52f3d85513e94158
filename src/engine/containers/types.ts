import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ImageId } from '../oci/digest.ts';
import type { LogRecord } from '../logging/driver.ts';
import type { EndpointState, EndpointWish } from '../network/types.ts';
import type { ImageRunConfig } from '../oci/image-spec.ts';
import type { OutputSink } from '../oci/streams.ts';
import type { ProcessTable } from '../runtime/process-list.ts';
import type { TreeChange } from '../storage/packing.ts';
import type { PathArchive, PathStat } from '../storage/copying.ts';
import type { ContainerSpec, ContainerUpdate, FrontDocument, NamespaceMode } from './spec-types.ts';
import type { ContainerState } from './state.ts';
import type { ContainerUsage, UsagePair } from './usage/types.ts';

/** A mount as it is in the container; inspect's `Mounts`. */
export interface MountPoint {
  readonly kind: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Volume name, reference of a mounted image, or null. */
  readonly name: string | null;
  /** Host path; '' for tmpfs; an image's id. */
  readonly source: string;
  readonly destination: string;
  /** Volume driver, or null. */
  readonly driver: string | null;
  readonly mode: string;
  readonly readOnly: boolean;
  readonly propagation: string;
}

/** What one run of a health check's probe told. */
export interface ProbeResult {
  readonly startedAt: Timestamp;
  readonly endedAt: Timestamp;
  /** 0 is healthy; -1 where the probe gave none (not started, or killed for its time). */
  readonly exitCode: number;
  /** The first 4096 bytes of what it wrote, or why it could not run. */
  readonly output: string;
}

/** What a container's health check has found; inspect's `State.Health`. */
export interface HealthView {
  /** `unhealthy` also where nothing is probed any more (ended, paused), as Docker has it. */
  readonly status: 'starting' | 'healthy' | 'unhealthy';
  /** Probes that failed one after another. */
  readonly failingStreak: number;
  /** The last five, oldest first. */
  readonly log: readonly ProbeResult[];
}

/** A container as the fronts see it: an immutable snapshot. */
export interface ContainerView {
  readonly id: ContainerId;
  /** Without slash. */
  readonly name: string;
  readonly createdAt: Timestamp;
  /** What was asked for, after the image's defaults were filled in (env, command, labels …). */
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
  readonly imageId: ImageId;
  /** First word and arguments of the process. */
  readonly path: string;
  readonly args: readonly string[];
  readonly state: ContainerState;
  /** Null where nothing is checked, and before the first start. */
  readonly health: HealthView | null;
  readonly mounts: readonly MountPoint[];
  /** Networks that it is on, or will be from its next start on, with what was asked for: by name, that of its mode first. */
  readonly networks: ReadonlyMap<string, EndpointWish>;
  /** Live endpoints; empty when nothing runs. */
  readonly endpoints: readonly EndpointState[];
  readonly netnsPath: string | null;
  readonly hostnamePath: string;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
  readonly logPath: string | null;
  readonly runtime: string;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly storageDriver: string;
  /** AppArmor profile of its last start; '' where the host has no AppArmor. */
  readonly apparmorProfile?: string;
  readonly ipcMode: NamespaceMode;
  readonly cgroupnsMode: NamespaceMode;
  readonly execIds: readonly ExecId[];
  /** Its control group below the hierarchy's root; null when nothing runs. */
  readonly cgroupPath: string | null;
  /** The systemd unit that its control group is; null with the cgroupfs driver and when nothing runs. */
  readonly unit: string | null;
}

/** A container or an exec is there, is gone, or shows something else than before. */
export type ContainerChange =
  | { readonly kind: 'added' | 'changed' | 'removed'; readonly containerId: ContainerId }
  | {
      readonly kind: 'exec-added' | 'exec-changed' | 'exec-removed';
      readonly containerId: ContainerId;
      readonly execId: ExecId;
    };

/** What an exec starts. */
export interface ExecSpec {
  readonly command: readonly string[];
  readonly terminal: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDirectory: string;
  readonly privileged: boolean;
  readonly detachKeys: string | null;
  readonly consoleSize: readonly [number, number] | null;
}

export interface ExecView {
  readonly id: ExecId;
  readonly containerId: ContainerId;
  readonly spec: ExecSpec;
  /** The bytes of the detach keys that were asked for; empty for the default's. */
  readonly detachSequence: Buffer;
  readonly running: boolean;
  readonly exitCode: number | null;
  readonly pid: number;
}

/** A client's end of an attach: what it types, and where output goes. */
export interface ClientStreams {
  /** Null when the client gives no stdin. Its end half-closes the process's stdin. */
  readonly stdin: Readable | null;
  readonly output: OutputSink;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/** A prepared attach: found and allowed, streams exist; the front may now take its connection over. */
export interface Attachment {
  readonly terminal: boolean;
  /** Copies until the process ends, the client goes, or the detach keys are typed; resolves then. */
  run(client: ClientStreams): Promise<void>;
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Replay the log first. */
  readonly logs: boolean;
  /** Follow live output. */
  readonly stream: boolean;
  /** Docker's text (`ctrl-p,ctrl-q`); null for the default, '' for none. */
  readonly detachKeys: string | null;
}

export interface LogsOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly tail: number | null;
  /** A record's cursor: go on after it, in place of `tail`. */
  readonly after?: string | null;
  readonly since: Timestamp | null;
  readonly until: Timestamp | null;
  readonly signal: AbortSignal;
}

export interface LogsView {
  readonly terminal: boolean;
  readonly batches: AsyncIterable<readonly LogRecord[]>;
}

/** `healthy` settles also when the container ends before; Docker's API does not have it. */
export type WaitCondition = 'not-running' | 'next-exit' | 'removed' | 'healthy';

/** What `wait` tells; `error` is set when the status is not the process's own word. */
export interface WaitResult {
  readonly exitCode: number;
  readonly error: string | null;
}

/** How an image is made of a container. */
export interface CommitOptions {
  /** Null or '': the image gets no name. */
  readonly repository: string | null;
  readonly tag: string | null;
  readonly author: string;
  readonly comment: string;
  /** Let nothing run while the changes are copied. */
  readonly pause: boolean;
  /** Dockerfile lines that change the configuration. */
  readonly changes: readonly string[];
  /** A configuration in place of the container's own, which fills in what it leaves open. */
  readonly config: ImageRunConfig | null;
  readonly signal?: AbortSignal;
}

/** How a tar is unpacked into a container. */
export interface ExtractOptions {
  /** Refuse to put a file in a directory's place, and the other way round. */
  readonly keepsKinds: boolean;
  /** Everything becomes the container's user's. */
  readonly toUser: boolean;
  readonly signal: AbortSignal;
}

/** How a checkpoint is made. */
export interface CheckpointRequest {
  readonly name: string;
  /** Where it goes, in a directory by its name; '': to the container. */
  readonly directory: string;
  /** End the processes by it. */
  readonly exit: boolean;
}

/** The checkpoint that a start begins from. */
export interface CheckpointStart {
  /** '': none. */
  readonly name: string;
  /** '': the container's; others are refused, as by dockerd. */
  readonly directory: string;
}

/**
 * The container room's door for the facade. All refs: full id, name (with or without `/`), a link's name (`holder/alias`)
 * for what it leads to, or unique id prefix.
 */
export interface Containers {
  /** NotFoundError `No such container: x`; InvalidArgumentError when a prefix is ambiguous. */
  get(ref: string): ContainerView;
  /** All, newest first. */
  list(): readonly ContainerView[];
  /**
   * Makes a container. NotFoundError `No such image: x:tag`, ConflictError for the name, InvalidArgumentError for options,
   * NotImplementedError for what this engine does not offer. Leaves nothing behind on failure.
   */
  create(request: {
    readonly name: string | null;
    readonly spec: ContainerSpec;
    readonly frontDocument: FrontDocument | null;
  }): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }>;
  /**
   * False when it ran already. From a checkpoint: NotImplementedError with the reason where this host cannot; with
   * `experimental` only.
   */
  start(ref: string, from?: CheckpointStart): Promise<boolean>;
  /** With `experimental` only (NotImplementedError else). ConflictError when nothing runs; NotImplementedError with why. */
  createCheckpoint(ref: string, request: CheckpointRequest): Promise<void>;
  listCheckpoints(ref: string, directory: string): readonly string[];
  removeCheckpoint(ref: string, name: string, directory: string): void;
  /** False when it was not running. Null takes the container's own signal and time-out; -1 s waits for ever. */
  stop(
    ref: string,
    options: { readonly signal: string | null; readonly timeoutSeconds: number | null },
  ): Promise<boolean>;
  restart(
    ref: string,
    options: { readonly signal: string | null; readonly timeoutSeconds: number | null },
  ): Promise<void>;
  /** ConflictError `… is not running`. */
  kill(ref: string, signal: string): Promise<void>;
  pause(ref: string): Promise<void>;
  unpause(ref: string): Promise<void>;
  rename(ref: string, name: string): Promise<void>;
  /**
   * Puts it on one more network: at once where it runs, else from its next start on. NotFoundError, InvalidArgumentError,
   * ForbiddenError in Docker's words; nothing has changed then.
   */
  connectNetwork(ref: string, network: string, wish: EndpointWish): Promise<void>;
  /**
   * Takes it off a network: at once where it runs, and for its next start. `force` also where container or network are not
   * there any more. NotFoundError, InvalidArgumentError, InternalError in Docker's words.
   */
  disconnectNetwork(ref: string, network: string, options: { readonly force: boolean }): Promise<void>;
  /**
   * Changes limits and restart policy, also of what runs. InvalidArgumentError and ConflictError in Docker's words;
   * nothing has changed then.
   */
  update(ref: string, change: ContainerUpdate): Promise<{ readonly warnings: readonly string[] }>;
  remove(ref: string, options: { readonly force: boolean; readonly volumes: boolean }): Promise<void>;
  /** `/holder/alias` of each container that others of the default bridge are linked to, by id, sorted. */
  linkNames(): ReadonlyMap<ContainerId, readonly string[]>;
  /** Takes the link `holder/alias` away; both containers stay. NotFoundError, ConflictError in Docker's words. */
  removeLink(name: string): void;
  /**
   * Registers the wait before it returns (an exit from now on counts), settles `result` later.
   */
  wait(ref: string, condition: WaitCondition, signal: AbortSignal): { readonly result: Promise<WaitResult> };
  attach(ref: string, options: AttachOptions): Promise<Attachment>;
  resize(ref: string, size: { readonly height: number; readonly width: number }): Promise<void>;
  logs(ref: string, options: LogsOptions): LogsView;
  createExec(ref: string, spec: ExecSpec): Promise<ExecId>;
  getExec(id: string): ExecView;
  /** Starts detached; returns when it runs. */
  startExecDetached(id: string): Promise<void>;
  /** Ready to run attached; the process starts within `run`. Start errors are written to the stream (stderr) by `run`. */
  startExec(
    id: string,
    options: { readonly terminal: boolean; readonly consoleSize: readonly [number, number] | null },
  ): Promise<Attachment>;
  resizeExec(id: string, size: { readonly height: number; readonly width: number }): Promise<void>;
  /** ConflictError when its process does not run; InvalidArgumentError `invalid signal: x`. */
  signalExec(id: string, signal: string): Promise<void>;
  /**
   * Makes an image of what the container changed in its image; its id. Contents of mounts are not part of it.
   * InvalidArgumentError for words, ConflictError for one that is being removed; leaves no image on failure, and what
   * runs goes on in any case.
   */
  commit(ref: string, options: CommitOptions): Promise<ImageId>;
  /**
   * The whole root as a tar, without what is mounted in it. Rejects at the first chunk or later when it cannot be read;
   * aborting ends it.
   */
  export(ref: string, signal: AbortSignal): AsyncIterable<Buffer>;
  /** What the container has changed in its image's tree: parents before children, by path. */
  changes(ref: string, signal?: AbortSignal): Promise<readonly TreeChange[]>;
  /**
   * What is at a path of the container, running or not: NotFoundError `Could not find the file …`, InvalidArgumentError for
   * a file that is asked for as a directory.
   */
  statPath(ref: string, path: string, signal?: AbortSignal): Promise<PathStat>;
  /** That with all below it, as a tar whose top entry is the path's last part. As {@link Containers.statPath} throws. */
  archivePath(ref: string, path: string, signal: AbortSignal): Promise<PathArchive>;
  /**
   * Unpacks a tar into a directory that is there. NotFoundError, InvalidArgumentError in Docker's words; what was unpacked
   * before a failure stays.
   */
  extractTo(
    ref: string,
    path: string,
    input: { readonly tar: Readable; readonly options: ExtractOptions },
  ): Promise<void>;
  /** Bytes of the writable layer and of the whole root (`size=1`). */
  sizes(ref: string): Promise<{ readonly writableBytes: number; readonly rootBytes: number }>;
  /** Words of `GraphDriver.Data`. */
  describeStorage(ref: string): Promise<Readonly<Record<string, string>>>;
  /**
   * Its processes as `ps` with these arguments (`''`: `-ef`) shows them. ConflictError when nothing runs, else ps's own words.
   */
  top(ref: string, psArguments: string, signal?: AbortSignal): Promise<ProcessTable>;
  /** What it has used in its present run; null when nothing runs. One look, at this moment. */
  usage(ref: string): Promise<ContainerUsage | null>;
  /** Two samples, the second one of now: at once while somebody has asked lately, else after a second. Null: nothing runs. */
  usagePair(ref: string, signal: AbortSignal): Promise<UsagePair | null>;
  /** A sample a second, null while nothing runs, until the container has gone or the signal is aborted. */
  followUsage(ref: string, signal: AbortSignal): AsyncGenerator<ContainerUsage | null, void, void>;
  /** An O_PATH descriptor of the mounted root, the caller's to close. ConflictError when nothing runs. */
  openRoot(ref: string): number;
  /** The first of `paths` that is an executable file in the root, or null. ConflictError when nothing runs. */
  findProgram(ref: string, paths: readonly string[]): string | null;
  /** Calls back at each change of what `get` and `getExec` show, before the verb that made it returns. */
  watch(listener: (change: ContainerChange) => void): Disposable;
}
