/**
 * Container logs.
 *
 * Vocabulary: a *record* is one line (or part of an overlong one) of one stream with its time. The monitor writes; the
 * daemon only reads and rotates, so a log goes on while the daemon is away. A *driver* says how much of that log is kept,
 * and may have each line shipped elsewhere besides (see sink.ts).
 *
 * Story: `logs -f --tail 10`: `for await (const batch of driver.read(log, { tail: 10, follow: until })) …`: the last ten
 * records, then new ones as the file grows (inotify), across rotation, until `follow` is aborted; what was written
 * before that moment is still delivered.
 */
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { OutputStream } from '../oci/streams.ts';
import type { SinkSpec } from './sink.ts';

/** One container's log. */
export interface ContainerLog {
  readonly containerId: ContainerId;
  /** The current file; rotated ones are `path.1`, `path.2` … */
  readonly path: string;
}

export interface LogRecord {
  readonly stream: OutputStream;
  readonly time: Timestamp;
  /** With its newline, unless `partial`. */
  readonly data: Uint8Array;
  /** True when the line goes on in the next record of this stream. */
  readonly partial: boolean;
  /**
   * Where the record is: an opaque word to go on after it with (`after`), good across restarts and rotations. Absent
   * with drivers that cannot say.
   */
  readonly cursor?: string;
}

export interface LogReadOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Number of last records (whole lines); null for all. */
  readonly tail: number | null;
  /**
   * The cursor of the record to go on after, in place of `tail`. When that record was rotated away, the oldest there is
   * comes first. InvalidArgumentError when it is no cursor of this driver.
   */
  readonly after?: string | null;
  readonly since: Timestamp | null;
  readonly until: Timestamp | null;
  /** Follow until this signal is aborted (the container has ended); null reads what is there and ends. */
  readonly follow: AbortSignal | null;
  /** The caller has gone: stop at once. */
  readonly signal: AbortSignal;
}

/** One way to keep logs. */
export interface LogDriver {
  readonly name: string;
  /** Checks `--log-opt` values; InvalidArgumentError in Docker's words. */
  validate(options: Readonly<Record<string, string>>): void;
  /** File the monitor writes, or null when nothing is kept. */
  open(containerId: ContainerId, directory: string): ContainerLog | null;
}

/** Optional ability: logs can be read back. */
export interface ReadableLogDriver extends LogDriver {
  /** False where the options forbid it (`cache-disabled`): the log is only kept until it is shipped. */
  canRead(options: Readonly<Record<string, string>>): boolean;
  /** What of the options has no effect here. */
  warnings(options: Readonly<Record<string, string>>): readonly string[];
  /** Batches of records in write order. */
  read(log: ContainerLog, options: LogReadOptions): AsyncIterable<readonly LogRecord[]>;
  /** Rotates when the file is over its bound; `reopen` asks the monitor to open the file anew. */
  rotate(log: ContainerLog, options: Readonly<Record<string, string>>, reopen: () => Promise<void>): Promise<void>;
}

/** A container as its log tells of it. */
export interface LoggedContainer {
  readonly id: string;
  /** Without the slash. */
  readonly name: string;
  /** `sha256:…` */
  readonly imageId: string;
  /** As the user named it. */
  readonly imageName: string;
  readonly command: readonly string[];
  readonly createdAt: Timestamp;
  readonly labels: Readonly<Record<string, string>>;
  readonly env: readonly string[];
}

/** What the monitor puts beside each line in the journal. */
export interface JournalEntry {
  /** CONTAINER_NAME */
  readonly name: string;
  /** CONTAINER_TAG and SYSLOG_IDENTIFIER */
  readonly tag: string;
  /** More fields, by their names in the journal. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Optional ability: the monitor writes each line to the journal as well. */
export interface JournalLogDriver extends ReadableLogDriver {
  /** For one start of a container; null where the pump does it. InternalError where there is no journal. */
  journalEntry(container: LoggedContainer, options: Readonly<Record<string, string>>): JournalEntry | null;
}

/** Optional ability: lines are shipped to a sink of the driver's own. */
export interface ShippingLogDriver extends ReadableLogDriver {
  /** The file that the lines are shipped to and that inspect names (`LogPath`); null for none. */
  shippedPath(containerId: ContainerId, directory: string): string | null;
  /** What to ship to, decided at each start; null: nothing. InvalidArgumentError in Docker's words. */
  sink(
    container: LoggedContainer,
    options: Readonly<Record<string, string>>,
    shippedPath: string | null,
  ): SinkSpec | null;
  /** Settles when the sink's receiver can be reached, or need not be now; rejects with what dockerd says. */
  reach(sink: SinkSpec, options: Readonly<Record<string, string>>): Promise<void>;
}

/** The file that a driver ships a container's lines to; null with drivers that do not, or ship elsewhere. */
export function shippedPathOf(driver: LogDriver, containerId: ContainerId, directory: string): string | null {
  return isShipping(driver) ? driver.shippedPath(containerId, directory) : null;
}

/** Whether lines are shipped to a sink of the driver's own. */
export function isShipping(driver: LogDriver): driver is ShippingLogDriver {
  return 'sink' in driver;
}
