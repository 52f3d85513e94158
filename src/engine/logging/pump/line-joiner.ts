/**
 * From the monitor's records to the lines that Docker's loggers see: what the monitor wrote in pieces is put together up to
 * the newline, and cut at 16 KiB, as dockerd's own copier would have.
 */
import { createHash } from 'node:crypto';
import type { Timestamp } from '../../../base/clock.ts';
import type { OutputStream } from '../../oci/streams.ts';
import { isPartial, isRecord, isStderr, NEWLINE, TEXT_AT, timeAt } from '../monitor-log/line.ts';
import type { LinePart, LogEntry } from '../sink.ts';

/** dockerd's buffer. */
const MAX_LINE_BYTES = 16 * 1024;
const NOTHING = Buffer.alloc(0);

/** A line whose end has not come. */
export interface OpenLine {
  readonly bytes: Buffer;
  /** The number of the next part; 1 while the line may yet fit into one entry. */
  readonly ordinal: number;
  /** '' before the first part. */
  readonly id: string;
  readonly time: Timestamp;
}

export type OpenLines = Readonly<Partial<Record<OutputStream, OpenLine>>>;

export class LineJoiner {
  /** Lines whose end has not come; may be set back to what it was before a `join`. */
  open: OpenLines;

  constructor(open: OpenLines = {}) {
    this.open = open;
  }

  /** The entries of the whole records in a chunk, in order. */
  join(chunk: Buffer): readonly LogEntry[] {
    const entries: LogEntry[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      if (isRecord(chunk, start, end)) this.#add(entries, chunk, start, end);
      start = end + 1;
    }
    return entries;
  }

  /** What is left of lines that nobody will end any more: parts without a last one, as with dockerd. */
  flush(): readonly LogEntry[] {
    const rest = (['stdout', 'stderr'] as const).flatMap((stream): readonly LogEntry[] => {
      const line = this.open[stream];
      if (line === undefined || line.bytes.length === 0) return [];
      const { bytes, time } = line;
      return [
        { stream, time, bytes, start: 0, end: bytes.length, part: partOf(stream, line, false), endsRecord: true },
      ];
    });
    this.open = {};
    return rest;
  }

  #add(entries: LogEntry[], chunk: Buffer, start: number, end: number): void {
    const stream = isStderr(chunk, start) ? 'stderr' : 'stdout';
    const isLast = !isPartial(chunk, start);
    const open = this.open[stream];
    const from = start + TEXT_AT;
    if (isLast && open === undefined && end - from < MAX_LINE_BYTES) {
      entries.push({
        stream,
        time: timeAt(chunk, start),
        bytes: chunk,
        start: from,
        end,
        part: null,
        endsRecord: true,
      });
      return;
    }
    this.#addPieces(entries, { stream, isLast, time: timeAt(chunk, start), text: chunk.subarray(from, end) });
  }

  #addPieces(
    entries: LogEntry[],
    record: {
      readonly stream: OutputStream;
      readonly isLast: boolean;
      readonly time: Timestamp;
      readonly text: Buffer;
    },
  ): void {
    const { stream, isLast, time, text } = record;
    const before = this.open[stream] ?? { bytes: NOTHING, ordinal: 1, id: '', time };
    const bytes = before.bytes.length === 0 ? text : Buffer.concat([before.bytes, text]);
    let line: OpenLine = { ...before, bytes };
    let at = 0;
    for (; bytes.length - at >= MAX_LINE_BYTES; at += MAX_LINE_BYTES) {
      if (line.id === '') line = { ...line, id: partId(stream, time), time };
      const end = at + MAX_LINE_BYTES;
      entries.push({
        stream,
        time: line.time,
        bytes,
        start: at,
        end,
        part: partOf(stream, line, false),
        endsRecord: false,
      });
      line = { ...line, ordinal: line.ordinal + 1 };
    }
    if (isLast) {
      const part = line.id === '' ? null : partOf(stream, line, true);
      const lineTime = line.id === '' ? time : line.time;
      entries.push({ stream, time: lineTime, bytes, start: at, end: bytes.length, part, endsRecord: true });
    } else {
      const last = entries.at(-1);
      if (at > 0 && last !== undefined) entries[entries.length - 1] = { ...last, endsRecord: true };
    }
    // A copy: the chunk must not be kept alive by a prompt.
    const rest = { ...line, bytes: Buffer.from(bytes.subarray(at)) };
    this.open = isLast ? without(this.open, stream) : { ...this.open, [stream]: rest };
  }
}

function partOf(stream: OutputStream, { id, ordinal, time }: OpenLine, isLast: boolean): LinePart {
  return { id: id === '' ? partId(stream, time) : id, ordinal, isLast };
}

/** The same whenever the line is read again. */
function partId(stream: OutputStream, time: Timestamp): string {
  return createHash('sha256')
    .update(`${stream} ${String(time)}`)
    .digest('hex');
}

function without(open: OpenLines, stream: OutputStream): OpenLines {
  return Object.fromEntries(Object.entries(open).filter(([name]) => name !== stream));
}
