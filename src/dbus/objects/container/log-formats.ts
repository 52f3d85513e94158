/**
 * How `OpenLogs` writes records:
 *
 *   raw          what the process wrote, both streams as they came
 *   multiplexed  Docker's frames (base/stdio-frame.ts)
 *   json         one object a line: `time`, `stream`, `partial` where a line goes on, and `message` without its newline; as
 *                the journal's, an array of bytes where they are no UTF-8
 *   export       the journal's export format, for systemd-journal-remote and its readers
 */
import { formatTimestampFixed } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import { frame } from '../../../base/stdio-frame.ts';
import type { ContainerView, LogRecord } from '../../../engine/index.ts';
import { usecOf } from '../../bus/times.ts';

type Encode = (records: readonly LogRecord[]) => readonly Uint8Array[];

const NEWLINE = 10;
const TAB = 9;
const FIRST_PRINTABLE = 32;
/** syslog's `info` and `err`: what the journald driver gives the two streams. */
const PRIORITY = { stdout: '6', stderr: '3' } as const;

/** InvalidArgumentError when there is no such format. */
export function logEncoder(format: string, view: ContainerView): Encode {
  switch (format) {
    case 'raw':
      return (records) => (records.length === 0 ? [] : [Buffer.concat(records.map(({ data }) => data))]);
    case 'multiplexed':
      return (records) => records.map(({ stream, data }) => frame(stream, [data]));
    case 'json':
      return (records) => records.map((record) => Buffer.from(`${JSON.stringify(jsonOf(record))}\n`));
    case 'export':
      return (records) => records.map((record) => exportEntry(record, view));
    default:
      throw new InvalidArgumentError('key "Format": must be one of raw, multiplexed, json, export');
  }
}

function jsonOf(record: LogRecord): Readonly<Record<string, unknown>> {
  const message = withoutNewline(record);
  return {
    time: formatTimestampFixed(record.time),
    stream: record.stream,
    ...(record.partial ? { partial: true } : {}),
    message: textOf(message) ?? [...message],
  };
}

/** `NAME=text` a line, an empty line after each entry; systemd's JOURNAL_EXPORT_FORMATS. */
function exportEntry(record: LogRecord, view: ContainerView): Buffer {
  const fields = [
    `__REALTIME_TIMESTAMP=${String(usecOf(record.time))}`,
    `PRIORITY=${PRIORITY[record.stream]}`,
    `CONTAINER_NAME=${view.name}`,
    `CONTAINER_ID=${shortId(view.id)}`,
    `CONTAINER_ID_FULL=${view.id}`,
    ...(record.partial ? ['CONTAINER_PARTIAL_MESSAGE=true'] : []),
  ];
  const message = withoutNewline(record);
  return Buffer.concat([Buffer.from(`${fields.join('\n')}\n`), messageField(message), Buffer.from('\n')]);
}

/** Text on its line; else the name on a line, the length (little-endian, 8 bytes), the bytes and a newline. */
function messageField(message: Buffer): Buffer {
  const isText = message.every((byte) => byte >= FIRST_PRINTABLE || byte === TAB) && textOf(message) !== null;
  if (isText) return Buffer.concat([Buffer.from('MESSAGE='), message, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(message.length));
  return Buffer.concat([Buffer.from('MESSAGE\n'), length, message, Buffer.from('\n')]);
}

function withoutNewline({ data, partial }: LogRecord): Buffer {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return !partial && bytes.at(-1) === NEWLINE ? bytes.subarray(0, -1) : bytes;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(bytes: Buffer): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
