/** GELF messages (https://go2docs.graylog.org/current/getting_in_log_data/gelf.html) as dockerd's library writes them. */
import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { hostname } from 'node:os';
import { goJson, textOf, type LogEntry } from '../sink.ts';

/** Largest datagram of the library; what is longer goes in chunks. */
const CHUNK_BYTES = 1420;
/** `1e 0f`, eight bytes that name the message, number of the chunk, how many there are. */
const CHUNK_HEAD_BYTES = 12;
const CHUNK_DATA_BYTES = CHUNK_BYTES - CHUNK_HEAD_BYTES;
const MAX_CHUNKS = 128;
const MAGIC = Buffer.from([0x1e, 0x0f]);

const LEVELS = { stdout: 6, stderr: 3 } as const;
const HOST = hostname();

export type GelfCompression = 'gzip' | 'zlib' | 'none';

/** JSON of one entry; `extra` is what of it is the same for all, without braces. */
export function gelfMessage(entry: LogEntry, extra: string): Buffer {
  const milliseconds = entry.time / 1_000_000n;
  const head = `{"version":"1.1","host":${goJson(HOST)},"short_message":${goJson(textOf(entry))}`;
  const tail = `,"timestamp":${String(Number(milliseconds) / 1000)},"level":${String(LEVELS[entry.stream])},${extra}}`;
  return Buffer.from(head + tail);
}

/** The datagrams of one message: packed, in chunks where it is long. None for one that is too long for 128 chunks. */
export function gelfPackets(message: Buffer, compression: GelfCompression, level: number): readonly Buffer[] {
  const packed = packedBy(message, compression, level);
  if (packed.length <= CHUNK_BYTES) return [packed];
  const count = Math.ceil(packed.length / CHUNK_DATA_BYTES);
  if (count > MAX_CHUNKS) return [];
  const name = randomBytes(8);
  return Array.from({ length: count }, (_, number) =>
    Buffer.concat([
      MAGIC,
      name,
      Buffer.from([number, count]),
      packed.subarray(number * CHUNK_DATA_BYTES, (number + 1) * CHUNK_DATA_BYTES),
    ]),
  );
}

function packedBy(message: Buffer, compression: GelfCompression, level: number): Buffer {
  switch (compression) {
    case 'gzip':
      return gzipSync(message, { level });
    case 'zlib':
      return deflateSync(message, { level });
    case 'none':
      return message;
  }
}
