/** What goes into Docker's multiplexed stream, and what goes out plain; see base/stdio-frame.ts. */
import type { LogRecord, OutputSink, OutputStream } from '../../engine/index.ts';
import { formatTimestampFixed } from '../../base/clock.ts';
import { frame } from '../../base/stdio-frame.ts';

/** Frames of 4–32 KiB are ten times as fast for clients as one a line; larger ones gain nothing. */
const MAX_FRAME_BYTES = 32 * 1024;

/** Sends bytes; a promise asks to wait. */
export type Write = (bytes: Uint8Array) => void | Promise<void>;

/** A sink that writes frames, or plain bytes for a terminal. */
export function outputSink(write: Write, terminal: boolean): OutputSink {
  return {
    write: (stream, chunk) => {
      if (chunk.length === 0) return;
      return write(terminal ? chunk : frame(stream, [chunk]));
    },
  };
}

export interface LogFormat {
  readonly terminal: boolean;
  readonly timestamps: boolean;
  /** Text of `details=1`, before each line; '' without. */
  readonly details: string;
}

/**
 * A batch of log records as bytes: runs of one stream go into one frame. Time and details stand before each record, also
 * in the midst of a line longer than 16 KiB: so does dockerd.
 */
export function encodeLogs(batch: readonly LogRecord[], format: LogFormat): readonly Uint8Array[] {
  const output: Uint8Array[] = [];
  let parts: Uint8Array[] = [];
  let size = 0;
  let stream: OutputStream | null = null;
  const flush = (): void => {
    if (stream !== null && size > 0) output.push(format.terminal ? Buffer.concat(parts) : frame(stream, parts));
    parts = [];
    size = 0;
  };
  for (const record of batch) {
    if (record.stream !== stream || size >= MAX_FRAME_BYTES) flush();
    stream = record.stream;
    for (const part of prefixed(record, format)) {
      parts.push(part);
      size += part.length;
    }
  }
  flush();
  return output;
}

function prefixed(record: LogRecord, { timestamps, details }: LogFormat): readonly Uint8Array[] {
  if (!timestamps && details === '') return [record.data];
  const time = timestamps ? `${formatTimestampFixed(record.time)} ` : '';
  return [Buffer.from(`${time}${details}`), record.data];
}
