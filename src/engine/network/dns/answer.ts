/** Answers of our own, and what becomes of those of others on their way to a container (RFC 1035 §4, RFC 6891). Pure. */
import { CLASS_IN, HEADER_BYTES, QR, RA, RCODE, RECORD, TC } from './query.ts';
import type { Query } from './query.ts';

/** How long what is told here may be kept, unless said: Docker's. */
const TTL_S = 600;
/** Where the question's name begins: every record of ours is about it. */
const POINTER_TO_QUESTION = 0xc000 | HEADER_BYTES;
/** name 2, type 2, class 2, TTL 4, length 2 */
const RECORD_BYTES = 12;
/** What is said of ourselves by EDNS: more than any question needs. */
const OUR_PAYLOAD_BYTES = 4096;
const OPT_BYTES = 11;
const MAX_MESSAGE_BYTES = 65_535;

/** How the question came, which bounds its answer. */
export type Transport = 'udp' | 'tcp';

/** One piece of data for each record: addresses as they go over the wire, or a name. */
export function answer(
  query: Query,
  transport: Transport,
  {
    rcode = RCODE.NOERROR,
    records = [],
    ttlS = TTL_S,
  }: { readonly rcode?: number; readonly records?: readonly Buffer[]; readonly ttlS?: number } = {},
): Buffer {
  const limit = transport === 'udp' ? query.udpBytes : MAX_MESSAGE_BYTES;
  const tail = query.edns === null ? 0 : OPT_BYTES;
  const fitting = countFitting(records, limit - query.questionEnd - tail);
  const bytes = Buffer.alloc(records.slice(0, fitting).reduce(addedBytes, query.questionEnd + tail));
  // The question as it was asked: whoever varies its case to know his answer again finds it.
  query.bytes.copy(bytes, 0, 0, query.questionEnd);
  bytes.writeUInt16BE(QR | RA | query.repeatedFlags | (fitting < records.length ? TC : 0) | (rcode & 15), 2);
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt16BE(fitting, 6);
  bytes.writeUInt16BE(0, 8);
  bytes.writeUInt16BE(query.edns === null ? 0 : 1, 10);
  let at = query.questionEnd;
  for (const data of records.slice(0, fitting)) at = writeRecord(bytes, at, { type: query.type, data, ttlS });
  if (query.edns !== null) writeOpt(bytes, at, rcode >> 4);
  return bytes;
}

/** An error for a packet that could not be read: its header alone. */
export function refusal(packet: Buffer, rcode: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  packet.copy(bytes, 0, 0, 4);
  bytes.writeUInt16BE((packet.readUInt16BE(2) & 0x7900) | QR | RA | rcode, 2);
  return bytes;
}

/** An answer from elsewhere that is longer than its client takes: the client asks again by TCP. */
export function cutTo(query: Query, bytes: Buffer): Buffer {
  if (bytes.length <= query.udpBytes) return bytes;
  const cut = answer(query, 'udp');
  cut.writeUInt16BE(bytes.readUInt16BE(2) | TC, 2);
  return cut;
}

/** A name as it goes over the wire; null when no packet can hold it. */
export function encodeName(name: string): Buffer | null {
  const labels = name.split('.').map((label) => Buffer.from(label));
  if (labels.some(({ length }) => length === 0 || length > 63)) return null;
  const bytes = Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), label]), Buffer.from([0])]);
  return bytes.length > 255 ? null : bytes;
}

function countFitting(records: readonly Buffer[], room: number): number {
  let left = room;
  let count = 0;
  for (const { length } of records) {
    left -= RECORD_BYTES + length;
    if (left < 0) break;
    count += 1;
  }
  return count;
}

function addedBytes(sum: number, { length }: Buffer): number {
  return sum + RECORD_BYTES + length;
}

function writeRecord(
  bytes: Buffer,
  start: number,
  { type, data, ttlS }: { readonly type: number; readonly data: Buffer; readonly ttlS: number },
): number {
  bytes.writeUInt16BE(POINTER_TO_QUESTION, start);
  bytes.writeUInt16BE(type, start + 2);
  bytes.writeUInt16BE(CLASS_IN, start + 4);
  bytes.writeUInt32BE(ttlS, start + 6);
  bytes.writeUInt16BE(data.length, start + 10);
  data.copy(bytes, start + RECORD_BYTES);
  return start + RECORD_BYTES + data.length;
}

function writeOpt(bytes: Buffer, start: number, extendedRcode: number): void {
  bytes.writeUInt16BE(RECORD.OPT, start + 1);
  bytes.writeUInt16BE(OUR_PAYLOAD_BYTES, start + 3);
  bytes[start + 5] = extendedRcode;
}
