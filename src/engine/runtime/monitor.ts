/**
 * A monitor is the small process (conmon) that outlives the daemon: it owns one container's (or exec's) stdio, writes
 * its log and keeps its exit status. A *task* is the engine's handle on one monitored process.
 *
 * Life cycle: create (process exists, waits) → attach… → start → exit → delete. `adopt` finds a task again after the
 * daemon was restarted; an exit that happened in between is delivered like any other.
 *
 * Story 1, `docker run`: `task = await monitor.create(request)`; `session = await task.attach()`; `task.start()`;
 * `session.pipe(sink)` delivers everything the process writes; `await task.exit`.
 *
 * Story 2, the daemon was killed: `task = await monitor.adopt(id)`; null means there never was a process or its monitor
 * left no trace; a task whose process ended meanwhile has an `exit` that settles at once, from the exit file.
 *
 * Nothing a process writes between create and attach is lost to the log; what is written before a session attached is
 * not replayed to that session.
 */
import type { Writable } from 'node:stream';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ProcessSpec } from '../oci/runtime-spec.ts';
import type { CheckpointPlace } from './checkpoints.ts';
import type { OciRuntime } from './runtime.ts';
import type { OutputSink } from '../oci/streams.ts';

/** What is put beside each line in the journal. */
export interface JournalFields {
  /** CONTAINER_NAME */
  readonly name: string;
  /** CONTAINER_TAG and SYSLOG_IDENTIFIER */
  readonly tag: string;
  /** More, for a monitor that can: see `canWriteFields` of its implementation. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface TaskRequest {
  readonly containerId: ContainerId;
  readonly runtime: OciRuntime;
  /** Directory with config.json; pid file, sockets and exit file are kept in the monitor's own run directory. */
  readonly bundlePath: string;
  /** File the monitor writes the log to (conmon's k8s-file format), or null for no log. */
  readonly logPath: string | null;
  /** Beside the log, each line also goes to the journal, with these fields; absent or null: it does not. */
  readonly journal?: JournalFields | null;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Keep the process's stdin open when an attached client goes (`OpenStdin` without `StdinOnce`). */
  readonly keepStdinOpen: boolean;
  /** The process comes out of a checkpoint: it runs when it has been made, and `start` has nothing left to do. */
  readonly restore?: CheckpointPlace | null;
  readonly signal?: AbortSignal;
}

export interface ExecRequest {
  readonly execId: ExecId;
  readonly containerId: ContainerId;
  readonly runtime: OciRuntime;
  readonly bundlePath: string;
  readonly process: ProcessSpec;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Wait for an attach before the process starts, so that no output is missed. */
  readonly attachFirst: boolean;
  /**
   * What the next daemon must know of it, in the caller's own words: `adoptExecs` gives it back. Absent or null: nobody
   * would ask for it after a restart, which ends it.
   */
  readonly note?: string | null;
}

/** An exec of an earlier daemon; one that ended meanwhile has an `exit` that settles at once. */
export interface AdoptedExec {
  readonly execId: ExecId;
  readonly containerId: ContainerId;
  readonly note: string;
  readonly task: Task;
}

/** How a monitored process ended. */
export interface TaskExit {
  /** 0–255; 128 + signal when a signal ended it; 137 when the monitor itself was killed and the truth is unknown. */
  readonly exitCode: number;
  readonly exitedAt: Timestamp;
  readonly oomKilled: boolean;
  /** Set when the status is not the process's own word (monitor killed). */
  readonly error: string | null;
}

export interface Monitor {
  /**
   * Makes the container's process, waiting to be started. Errors: InternalError with the runtime's message, classified by
   * errors.ts (not found → 127, not executable → 126); nothing is left behind on failure.
   */
  create(request: TaskRequest): Promise<Task>;
  /** Starts another process in a running container. With `attachFirst` the returned session is already connected. */
  exec(request: ExecRequest): Promise<{ readonly task: Task; readonly session: AttachSession | null }>;
  /** Finds a container's task after a restart; null when there is none. */
  adopt(containerId: ContainerId, runtime: OciRuntime): Promise<Task | null>;
  /** Finds all execs with a note after a restart, and ends those without. To be called once, before the first `exec`. */
  adoptExecs(): Promise<readonly AdoptedExec[]>;
}

export interface Task {
  readonly containerId: ContainerId;
  /** Pid in the daemon's pid namespace. */
  readonly pid: number;
  /** Settles once; never rejects. All output was written to the log when it settles. */
  readonly exit: Promise<TaskExit>;
  /** Lets a created process go. */
  start(): Promise<void>;
  /** Connects to the process's streams; any number at the same time. ConflictError when it has ended. */
  attach(): Promise<AttachSession>;
  /** Terminal size; harmless without one. */
  resize(size: { readonly height: number; readonly width: number }): Promise<void>;
  /** Signals the first process; false when it is gone. */
  signal(signal: number): boolean;
  /** Asks the monitor to open its log file anew, after it was renamed. */
  reopenLog(): Promise<void>;
  /** After exit: removes the runtime's state, cgroup and the monitor's files. Idempotent. */
  delete(): Promise<void>;
}

/** One connection to a process's streams. Disposing it detaches; the process goes on. */
export interface AttachSession extends AsyncDisposable {
  /** The process's stdin; `end()` closes it (half-close), output keeps flowing. */
  readonly stdin: Writable;
  /** Delivers output until the process has closed all of it; settles then. One call only. */
  pipe(sink: OutputSink): Promise<void>;
}
