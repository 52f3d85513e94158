/** What goes into Docker's multiplexed stream, and what goes out plain; see base/stdio-frame.ts. */
import type { LogRecord, OutputSink, OutputStream } from '../../engine/index.ts';
import { formatTimestampFixed } from '../../base/clock.ts';
import { frame, FRAME_HEADER_BYTES, writeFrameHeader } from '../../base/stdio-frame.ts';

/** Frames of 4–32 KiB are ten times as fast for clients as one a line; larger ones gain nothing. */
const MAX_FRAME_BYTES = 32 * 1024;

/** From this size on a frame is made in a buffer that is used again: Node's own pool serves smaller ones. */
const MIN_KEPT_BYTES = 2048;

/** Where bytes go that must not be touched until they have gone. */
export interface OutputChannel {
  /** Sends bytes; a promise asks to wait. */
  write(bytes: Uint8Array): void | Promise<void>;
  /** All that was written has gone to the kernel. */
  readonly isFlushed: boolean;
}

/** A sink that writes frames, or plain bytes for a terminal. */
export function outputSink(channel: OutputChannel, terminal: boolean): OutputSink {
  let kept: Buffer | null = null;
  const bytesOf = (stream: OutputStream, chunk: Uint8Array): Buffer => {
    const headLength = terminal ? 0 : FRAME_HEADER_BYTES;
    const length = headLength + chunk.length;
    if (kept === null || kept.length < length) {
      // A fresh buffer a chunk makes the collector of garbage the busiest part of the engine.
      kept =
        length < MIN_KEPT_BYTES ? null : Buffer.allocUnsafeSlow(Math.max(length, FRAME_HEADER_BYTES + MAX_FRAME_BYTES));
    }
    const target = kept ?? Buffer.allocUnsafe(length);
    if (!terminal) writeFrameHeader(target, stream, chunk.length);
    target.set(chunk, headLength);
    return target.subarray(0, length);
  };
  return {
    write: (stream, chunk) => {
      if (chunk.length === 0) return;
      const pending = channel.write(bytesOf(stream, chunk));
      if (!channel.isFlushed) kept = null;
      return pending;
    },
  };
}

export interface LogFormat {
  readonly terminal: boolean;
  readonly timestamps: boolean;
  /** Text of `details=1`, before each line; '' without. */
  readonly details: string;
  /** Whether lines may share a frame, for a client that only joins what it gets. */
  readonly joinsLines: boolean;
}

/**
 * A batch of log records as bytes. Time and details stand before each record, also in the midst of a line longer than
 * 16 KiB: so does dockerd.
 */
export function encodeLogs(batch: readonly LogRecord[], format: LogFormat): readonly Uint8Array[] {
  return format.terminal || format.joinsLines ? joined(batch, format) : framed(batch, format);
}

/** A frame a record, as from dockerd: docker-py yields frames for lines, Portainer drops eight bytes after each newline. */
function framed(batch: readonly LogRecord[], format: LogFormat): readonly Uint8Array[] {
  const output: Uint8Array[] = [];
  let frames: Uint8Array[] = [];
  let size = 0;
  for (const record of batch) {
    const next = frame(record.stream, prefixed(record, format));
    frames.push(next);
    size += next.length;
    if (size < MAX_FRAME_BYTES) continue;
    output.push(Buffer.concat(frames, size));
    frames = [];
    size = 0;
  }
  if (size > 0) output.push(Buffer.concat(frames, size));
  return output;
}

/** Runs of one stream in one frame. */
function joined(batch: readonly LogRecord[], format: LogFormat): readonly Uint8Array[] {
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
