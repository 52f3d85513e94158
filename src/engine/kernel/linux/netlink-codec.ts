/**
 * Netlink messages, byte by byte (netlink(7), all little-endian on our machines). Pure.
 *
 * ```
 * message:   length u32 · type u16 · flags u16 · sequence u32 · port u32 · family's own header · attributes
 * attribute: length u16 (header included) · type u16 · payload · zeros up to a multiple of 4
 * ```
 */

/** One message taken out of a datagram. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The socket that a request came from; of a notification: that which made the change. 0: the kernel. */
  readonly port: number;
  /** What follows the 16-byte header. */
  readonly body: Buffer;
}

/** Payload by attribute type; a repeated type keeps its last payload. */
export type Attributes = ReadonlyMap<number, Buffer>;

const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
/** Two flag bits stand above the type. */
const NLA_TYPE_MASK = 0x3fff;

/** Puts the header before a body. */
export function encodeMessage(type: number, flags: number, sequence: number, body: readonly Buffer[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, HEADER_BYTES);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, ...body], length);
}

/** All messages of one datagram. */
export function decodeMessages(datagram: Buffer): readonly Message[] {
  const messages: Message[] = [];
  for (let offset = 0; offset + HEADER_BYTES <= datagram.length;) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      port: datagram.readUInt32LE(offset + 12),
      body: datagram.subarray(offset + HEADER_BYTES, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** One attribute with its padding. */
export function attribute(type: number, payload: Buffer): Buffer {
  const length = ATTRIBUTE_HEADER_BYTES + payload.length;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

/** An attribute that holds attributes. */
export function nested(type: number, parts: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(parts));
}

/** An attribute of a text with its NUL. */
export function textAttribute(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`));
}

/** An attribute of one 32-bit number. */
export function u32Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value, 0);
  return attribute(type, payload);
}

/** An attribute of one 16-bit number. */
export function u16Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16LE(value, 0);
  return attribute(type, payload);
}

/** The attributes in `bytes`; whatever is cut off at the end is left out. */
export function decodeAttributes(bytes: Buffer): Attributes {
  const attributes = new Map<number, Buffer>();
  for (let offset = 0; offset + ATTRIBUTE_HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt16LE(offset);
    if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) break;
    const type = bytes.readUInt16LE(offset + 2) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length));
    offset += align(length);
  }
  return attributes;
}

/** The text of an attribute, less its NUL; null when it is missing. */
export function textOf(payload: Buffer | undefined): string | null {
  if (payload === undefined) return null;
  const end = payload.indexOf(0);
  return payload.toString('utf8', 0, end === -1 ? payload.length : end);
}

/** The number of a 32-bit attribute; null when it is missing. */
export function u32Of(payload: Buffer | undefined): number | null {
  return payload === undefined || payload.length < 4 ? null : payload.readUInt32LE(0);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
