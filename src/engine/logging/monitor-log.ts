/**
 * The log that the monitor writes: one for every container that keeps any, whatever its driver, bounded, and what
 * `docker logs` reads. Each line's form is drawn in monitor-log/line.ts.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../../base/ids.ts';
import type { ContainerLog, LogReadOptions, LogRecord } from './driver.ts';
import { parseCursor } from './monitor-log/line.ts';
import { shift } from './monitor-log/log-files.ts';
import { readLog } from './monitor-log/reader.ts';

const FILE_NAME = 'container.log';

/** How much of a log is kept. */
export interface LogBounds {
  /** Of one file; null: without end. */
  readonly maxSizeBytes: number | null;
  /** Files, with the one being written. */
  readonly maxFiles: number;
}

/** Bounded by default: a container that talks for years takes 50 MiB and no more. */
export const DEFAULT_BOUNDS: LogBounds = { maxSizeBytes: 10 * 1024 * 1024, maxFiles: 5 };

/** The log of the container whose directory this is. */
export function openMonitorLog(containerId: ContainerId, directory: string): ContainerLog {
  return { containerId, path: join(directory, FILE_NAME) };
}

/** See `ReadableLogDriver.read`. */
export function readMonitorLog(log: ContainerLog, options: LogReadOptions): AsyncIterable<readonly LogRecord[]> {
  // Told before a stream is promised: a generator would only begin with its first record.
  const place = typeof options.after === 'string' ? parseCursor(options.after) : null;
  return readLog(log, options, place);
}

/** See `ReadableLogDriver.rotate`. */
export async function rotateMonitorLog(
  log: ContainerLog,
  { maxSizeBytes, maxFiles }: LogBounds,
  reopen: () => Promise<void>,
): Promise<void> {
  if (maxSizeBytes === null) return;
  const size = await stat(log.path).then(
    (info) => info.size,
    () => 0,
  );
  if (size > maxSizeBytes) await shift(log.path, { files: maxFiles, bytes: maxSizeBytes * maxFiles }, reopen);
}
