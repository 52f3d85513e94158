/**
 * Questions as they come from a container (RFC 1035 §4, RFC 6891). Pure; nothing a packet says is trusted.
 *
 *     0 id   2 flags: QR opcode(4) AA TC RD · RA Z AD CD rcode(4)   4 questions   6 answers   8 authorities   10 additionals
 *     12 the question: name (length and label … 0), type, class
 *     record: name, type 2, class 2, TTL 4, length 2, data
 *     OPT record: name 0, type 41, class = payload size, TTL = extended rcode, version, DO flag
 */

export const HEADER_BYTES = 12;
/** Flags of the header's second word. */
export const QR = 0x8000;
export const TC = 0x0200;
export const RD = 0x0100;
export const RA = 0x0080;
const OPCODE = 0x7800;
const CD = 0x0010;

/** Record types that are looked at here. */
export const RECORD = { A: 1, PTR: 12, MX: 15, AAAA: 28, OPT: 41 } as const;
/** The class of all names here. */
export const CLASS_IN = 1;

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

/** What a client without EDNS takes by UDP. */
const PLAIN_UDP_BYTES = 512;
const MAX_NAME_BYTES = 255;
/** More records than this in one question are no question. */
const MAX_ADDITIONALS = 16;

/** What a client says of itself by EDNS. */
export interface Edns {
  readonly payloadBytes: number;
  readonly version: number;
}

/** A question. */
export interface Query {
  readonly bytes: Buffer;
  readonly id: number;
  /** Opcode, RD and CD: an answer repeats them. */
  readonly repeatedFlags: number;
  /** In lower case without the last dot; null when a label holds what no host name has. */
  readonly name: string | null;
  readonly type: number;
  readonly class: number;
  /** Where the question ends. */
  readonly questionEnd: number;
  readonly edns: Edns | null;
  /** What its client takes by UDP. */
  readonly udpBytes: number;
}

/** What a packet is: a question, one that deserves no more than an error, or nothing that is answered. */
export type Packet =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'refused'; readonly bytes: Buffer; readonly rcode: number }
  | { readonly kind: 'noise' };

const NOISE: Packet = { kind: 'noise' };

/** Reads a packet that a container has sent. */
export function readPacket(bytes: Buffer): Packet {
  if (bytes.length < HEADER_BYTES) return NOISE;
  const flags = bytes.readUInt16BE(2);
  if ((flags & QR) !== 0) return NOISE;
  const refuse = (rcode: number): Packet => ({ kind: 'refused', bytes, rcode });
  if ((flags & OPCODE) !== 0) return refuse(RCODE.NOTIMP);
  if (bytes.readUInt16BE(4) !== 1 || bytes.readUInt16BE(6) !== 0) return refuse(RCODE.FORMERR);
  const name = readName(bytes, HEADER_BYTES);
  if (name === null || name.end + 4 > bytes.length) return refuse(RCODE.FORMERR);
  const questionEnd = name.end + 4;
  const edns = findEdns(bytes, questionEnd);
  if (edns === 'malformed') return refuse(RCODE.FORMERR);
  return {
    kind: 'query',
    query: {
      bytes,
      id: bytes.readUInt16BE(0),
      repeatedFlags: flags & (OPCODE | RD | CD),
      name: name.text,
      type: bytes.readUInt16BE(name.end),
      class: bytes.readUInt16BE(name.end + 2),
      questionEnd,
      edns,
      udpBytes: Math.max(PLAIN_UDP_BYTES, edns?.payloadBytes ?? 0),
    },
  };
}

/** A name in a question: no pointers, since nothing comes before it. */
function readName(bytes: Buffer, start: number): { readonly text: string | null; readonly end: number } | null {
  const labels: string[] = [];
  let isPlain = true;
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63) return null;
    at += 1;
    if (length === 0) break;
    if (at + length > bytes.length || at + length - start >= MAX_NAME_BYTES) return null;
    const label = bytes.toString('latin1', at, at + length);
    isPlain &&= !UNNAMEABLE.test(label);
    labels.push(label);
    at += length;
  }
  return { text: isPlain ? labels.join('.').toLowerCase() : null, end: at };
}

/** A dot inside a label would read as two labels. */
const UNNAMEABLE = /[^!-~]|\./;

/** Walks the records behind the question: each moves on by eleven bytes at least. */
function findEdns(bytes: Buffer, start: number): Edns | null | 'malformed' {
  const records = bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  if (records > MAX_ADDITIONALS) return 'malformed';
  let at = start;
  let found: Edns | null = null;
  for (let index = 0; index < records; index++) {
    const nameEnd = skipName(bytes, at);
    if (nameEnd === null || nameEnd + 10 > bytes.length) return 'malformed';
    const end = nameEnd + 10 + bytes.readUInt16BE(nameEnd + 8);
    if (end > bytes.length) return 'malformed';
    if (bytes.readUInt16BE(nameEnd) === RECORD.OPT) {
      if (found !== null) return 'malformed';
      found = { payloadBytes: bytes.readUInt16BE(nameEnd + 2), version: bytes[nameEnd + 5] ?? 0 };
    }
    at = end;
  }
  return found;
}

/** Where a name that may end in a pointer ends; the pointer is not followed. */
function skipName(bytes: Buffer, start: number): number | null {
  for (let at = start; ;) {
    const length = bytes[at];
    if (length === undefined) return null;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return null;
    at += 1 + length;
  }
}
