import type { Readable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ImageId } from '../oci/digest.ts';
import type { LogRecord } from '../logging/driver.ts';
import type { EndpointState } from '../network/types.ts';
import type { OutputSink } from '../oci/streams.ts';
import type { ContainerSpec, FrontDocument, NamespaceMode } from './spec-types.ts';
import type { ContainerState } from './state.ts';

/** A mount as it is in the container; inspect's `Mounts`. */
export interface MountPoint {
  readonly kind: 'bind' | 'volume' | 'tmpfs';
  /** Volume name, or null. */
  readonly name: string | null;
  /** Host path; '' for tmpfs. */
  readonly source: string;
  readonly destination: string;
  /** Volume driver, or null. */
  readonly driver: string | null;
  readonly mode: string;
  readonly readOnly: boolean;
  readonly propagation: string;
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
  readonly mounts: readonly MountPoint[];
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

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** What `wait` tells; `error` is set when the status is not the process's own word. */
export interface WaitResult {
  readonly exitCode: number;
  readonly error: string | null;
}

/** The container room's door for the facade. All refs: full id, name (with or without `/`), or unique id prefix. */
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
  /** False when it ran already. */
  start(ref: string): Promise<boolean>;
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
  remove(ref: string, options: { readonly force: boolean; readonly volumes: boolean }): Promise<void>;
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
  /** Bytes of the writable layer and of the whole root (`size=1`). */
  sizes(ref: string): Promise<{ readonly writableBytes: number; readonly rootBytes: number }>;
  /** Words of `GraphDriver.Data`. */
  describeStorage(ref: string): Promise<Readonly<Record<string, string>>>;
  /** An O_PATH descriptor of the mounted root, the caller's to close. ConflictError when nothing runs. */
  openRoot(ref: string): number;
  /** The first of `paths` that is an executable file in the root, or null. ConflictError when nothing runs. */
  findProgram(ref: string, paths: readonly string[]): string | null;
  /** Calls back at each change of what `get` and `getExec` show, before the verb that made it returns. */
  watch(listener: (change: ContainerChange) => void): Disposable;
}
