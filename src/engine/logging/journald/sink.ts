/** The journal by its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), with all the fields that dockerd sets. */
import type { LogEntry, LogSink, SinkSpec } from '../sink.ts';
import { timeText } from '../time-text.ts';
import { DatagramTarget, type DatagramGround } from '../transport/datagrams.ts';

const PRIORITIES = { stdout: '6', stderr: '3' } as const;
const BATCH_BYTES = 64 * 1024;
const RETRY_MS = 1000;

export interface JournaldSpec extends SinkSpec {
  readonly kind: 'journald';
  readonly socketPath: string;
  /** Of every line. */
  readonly fields: Readonly<Record<string, string>>;
}

export function openJournaldSink({ socketPath, fields }: JournaldSpec, ground: DatagramGround): LogSink {
  const target = new DatagramTarget(ground, socketPath);
  const common = Buffer.concat(Object.entries(fields).map(([name, value]) => field(name, Buffer.from(value))));
  return {
    batchBytes: BATCH_BYTES,
    retry: { firstMs: RETRY_MS, attempts: null },
    mark: '',
    ship: (entries) => target.sendAll(entries.map((entry) => Buffer.concat([common, ...ownFields(entry)]))),
    [Symbol.asyncDispose]: async () => target[Symbol.dispose](),
  };
}

function ownFields({ stream, time, bytes, start, end, part }: LogEntry): readonly Buffer[] {
  const fields = [
    field('MESSAGE', bytes.subarray(start, end)),
    field('PRIORITY', Buffer.from(PRIORITIES[stream])),
    field('SYSLOG_TIMESTAMP', Buffer.from(timeText(time))),
  ];
  if (part === null) return fields;
  const partial = {
    ...(part.isLast ? {} : { CONTAINER_PARTIAL_MESSAGE: 'true' }),
    CONTAINER_PARTIAL_ID: part.id,
    CONTAINER_PARTIAL_ORDINAL: String(part.ordinal),
    CONTAINER_PARTIAL_LAST: String(part.isLast),
  };
  return [...fields, ...Object.entries(partial).map(([name, value]) => field(name, Buffer.from(value)))];
}

/** `NAME \n length (u64, little-endian) value \n`, which holds any value. */
function field(name: string, value: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.from('\n')]);
}
