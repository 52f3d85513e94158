/**
 * Messages: bytes in, bytes out.
 *
 *   byte 0      l or B          byte order
 *   byte 1      1–4             call, return, error, signal
 *   byte 2      flags           1 no reply expected, 2 no auto-start, 4 may ask the user for a password
 *   byte 3      1               protocol version
 *   bytes 4–7   length of the body
 *   bytes 8–11  serial
 *   bytes 12–   a(yv) fields: 1 path, 2 interface, 3 member, 4 error name, 5 reply serial, 6 destination, 7 sender,
 *               8 signature, 9 number of descriptors; padded to 8, then the body
 */
import DBusBuffer from 'dbus-next/lib/dbus-buffer.js';
import { variant } from '../exported.ts';
import type { SignatureNode } from './signature.ts';
import { elementOf, parseSignature, parseSingle } from './signature.ts';
import { Writer } from './writer.ts';

export type MessageType = 'call' | 'return' | 'error' | 'signal';

/** Flags of the header's third byte. */
export const FLAG_NO_REPLY = 0x1;
export const FLAG_NO_AUTO_START = 0x2;
export const FLAG_INTERACTIVE = 0x4;

/** What both directions have. */
interface Fields {
  readonly type: MessageType;
  readonly flags?: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly destination?: string;
}

/** A message to send. `body` goes by `signature`; `bodyBytes` is a body that was written before. */
export interface OutgoingMessage extends Fields {
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly bodyBytes?: Buffer;
}

/** A message that came. Its descriptors (the values of `h`) are the receiver's. */
export interface IncomingMessage extends Fields {
  readonly flags: number;
  readonly serial: number;
  readonly sender: string;
  readonly signature: string;
  readonly body: readonly unknown[];
  readonly fds: readonly number[];
}

const TYPES: readonly (MessageType | undefined)[] = [undefined, 'call', 'return', 'error', 'signal'];
const LITTLE_ENDIAN = 0x6c;
const FIXED_BYTES = 16;

/** Bytes of a message and the descriptors that go with it. */
export function encodeMessage(
  message: OutgoingMessage,
  serial: number,
): { readonly bytes: Buffer; readonly fds: readonly number[] } {
  const signature = message.signature ?? '';
  // Another service must get what was meant; our own answers and signals are looked at.
  const body = new Writer(undefined, message.type === 'call' ? 'exact' : 'shown');
  if (message.bodyBytes === undefined) body.body(signature, message.body ?? []);
  const bodyBytes = message.bodyBytes ?? body.finish();
  const header = new Writer();
  header.raw(Buffer.from([LITTLE_ENDIAN, TYPES.indexOf(message.type), message.flags ?? 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
  header.array(8, () => {
    field(header, 1, 'o', message.path);
    field(header, 2, 's', message.interface);
    field(header, 3, 's', message.member);
    field(header, 4, 's', message.errorName);
    field(header, 5, 'u', message.replySerial);
    field(header, 6, 's', message.destination);
    field(header, 8, 'g', signature === '' ? undefined : signature);
    field(header, 9, 'u', body.fds.length === 0 ? undefined : body.fds.length);
  });
  header.align(8);
  header.raw(bodyBytes);
  const bytes = header.finish();
  bytes.writeUInt32LE(bodyBytes.length, 4);
  bytes.writeUInt32LE(serial, 8);
  return { bytes, fds: body.fds };
}

function field(header: Writer, code: number, signature: string, value: unknown): void {
  if (value === undefined) return;
  header.align(8);
  header.raw(Buffer.from([code]));
  header.variant(signature, parseSingle(signature), value);
}

/** Length of the message that starts with these 16 bytes. */
export function messageLength(head: Buffer): number {
  const isLittle = head[0] === LITTLE_ENDIAN;
  const bodyLength = isLittle ? head.readUInt32LE(4) : head.readUInt32BE(4);
  const fieldsLength = isLittle ? head.readUInt32LE(12) : head.readUInt32BE(12);
  return FIXED_BYTES + Math.ceil(fieldsLength / 8) * 8 + bodyLength;
}

/** What the header says: the rest needs the descriptors. */
export interface Envelope extends Omit<IncomingMessage, 'body' | 'fds' | 'type'> {
  readonly type: MessageType | null;
  readonly fdCount: number;
  readonly bodyAt: number;
  readonly bytes: Buffer;
}

/** Reads the header of a whole message. */
export function readEnvelope(bytes: Buffer): Envelope {
  const reader = new DBusBuffer(bytes, 0, bytes[0] ?? LITTLE_ENDIAN, []);
  reader.pos = 8;
  const [serial, fields] = reader.read('ua(yv)') as [
    number,
    readonly [number, readonly [unknown, readonly unknown[]]][],
  ];
  reader.align(3);
  const byCode = new Map(fields.map(([code, [, [value]]]) => [code, value]));
  const text = (code: number): string | undefined => byCode.get(code) as string | undefined;
  const [path, interfaceName, member, errorName, destination] = [text(1), text(2), text(3), text(4), text(6)];
  const replySerial = byCode.get(5) as number | undefined;
  return {
    type: TYPES[bytes[1] ?? 0] ?? null,
    flags: bytes[2] ?? 0,
    serial,
    sender: text(7) ?? '',
    signature: text(8) ?? '',
    fdCount: (byCode.get(9) as number | undefined) ?? 0,
    bodyAt: reader.pos,
    bytes,
    ...(path === undefined ? {} : { path }),
    ...(interfaceName === undefined ? {} : { interface: interfaceName }),
    ...(member === undefined ? {} : { member }),
    ...(errorName === undefined ? {} : { errorName }),
    ...(destination === undefined ? {} : { destination }),
    ...(replySerial === undefined ? {} : { replySerial }),
  };
}

/** Reads the body. Throws for bytes that are not what the signature says. */
export function readBody({ bytes, bodyAt, signature }: Envelope, fds: readonly number[]): readonly unknown[] {
  const reader = new DBusBuffer(bytes, 0, bytes[0] ?? LITTLE_ENDIAN, fds);
  reader.pos = bodyAt;
  const values = reader.read(signature);
  return parseSignature(signature).map((node, index) => toJavaScript(node, values[index]));
}

/** The reader's shapes (pairs for dict entries, a tree beside each variant) to those of exported.ts. */
function toJavaScript(node: SignatureNode, value: unknown): unknown {
  switch (node.type) {
    case 'v': {
      const [[inner], [content]] = value as readonly [readonly [SignatureNode], readonly [unknown]];
      return variant(signatureOf(inner), toJavaScript(inner, content));
    }
    case '(': {
      const values = value as readonly unknown[];
      return node.child.map((child, index) => toJavaScript(child, values[index]));
    }
    case 'a': {
      const element = elementOf(node);
      if (element.type === 'y') return Buffer.from(value as Buffer);
      const items = value as readonly unknown[];
      if (element.type !== '{') return items.map((item) => toJavaScript(element, item));
      const [, valueNode = element] = element.child;
      // fromEntries makes `__proto__` a key like any other.
      return Object.fromEntries(
        (items as readonly (readonly [string, unknown])[]).map(([key, item]) => [key, toJavaScript(valueNode, item)]),
      );
    }
    default:
      return value;
  }
}

/** The text of a parsed type. */
function signatureOf(node: SignatureNode): string {
  const inner = node.child.map(signatureOf).join('');
  if (node.type === '(') return `(${inner})`;
  return node.type === '{' ? `{${inner}}` : `${node.type}${inner}`;
}
