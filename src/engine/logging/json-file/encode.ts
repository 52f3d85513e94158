/**
 * A line of `ID-json.log`, byte for byte as Docker writes it:
 *
 *     {"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2026-01-31T12:34:56.123456789Z"}\n
 *
 * `attrs` only where there are any. The text ends with `\n` unless it is a part that others follow. The time's fraction
 * loses its zeros at the end. Quote, backslash, newline and return have short escapes; other controls, `<`, `>`, `&`,
 * U+2028 and U+2029 are `\u00xx`; each byte that is no UTF-8 is `\ufffd`.
 */
import type { Timestamp } from '../../../base/clock.ts';
import { characterLength, type LogEntry } from '../sink.ts';
import { timeText } from '../time-text.ts';

const HEX = Buffer.from('0123456789abcdef');
const PREFIX = Buffer.from('{"log":"');
const NEWLINE = Buffer.from('\\n');
const REPLACEMENT = Buffer.from('\\ufffd');
const LINE_SEPARATOR = Buffer.from('\\u2028');
const PARAGRAPH_SEPARATOR = Buffer.from('\\u2029');
const TIME_ROOM = 48;
/** The most that one byte of text becomes. */
const LONGEST_ESCAPE = 6;

/** 0: as it is; else the byte needs a look. */
const SPECIAL = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte >= 0x80 || '"\\<>&'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

/** Writes lines into a buffer of its own that grows as needed. */
export class LineEncoder {
  readonly #out: Readonly<Record<'stdout' | 'stderr', Buffer>>;
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #length = 0;
  #time = -1n as Timestamp;
  #timeText: Buffer = Buffer.alloc(0);

  /** `attrs`: a JSON object, or null. */
  constructor(attrs: string | null) {
    const middle = attrs === null ? '' : `"attrs":${attrs},`;
    const between = (stream: string): Buffer => Buffer.from(`","stream":"${stream}",${middle}"time":"`);
    this.#out = { stdout: between('stdout'), stderr: between('stderr') };
  }

  get length(): number {
    return this.#length;
  }

  /** What was added since the last `clear`; good until the next `add`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  add({ bytes, start, end, stream, part, time }: LogEntry): void {
    const between = this.#out[stream];
    this.#reserve((end - start) * LONGEST_ESCAPE + between.length + TIME_ROOM + PREFIX.length);
    this.#put(PREFIX);
    this.#escape(bytes, start, end);
    if (part === null || part.isLast) this.#put(NEWLINE);
    this.#put(between);
    if (time !== this.#time) {
      this.#time = time;
      this.#timeText = Buffer.from(`${timeText(time)}"}\n`);
    }
    this.#put(this.#timeText);
  }

  #escape(bytes: Buffer, start: number, end: number): void {
    const out = this.#buffer;
    let at = this.#length;
    for (let i = start; i < end; i += 1) {
      const byte = bytes[i] ?? 0;
      if (SPECIAL[byte] === 0) {
        out[at] = byte;
        at += 1;
        continue;
      }
      this.#length = at;
      i += byte < 0x80 ? this.#control(byte) : this.#wide(bytes, i, end);
      at = this.#length;
    }
    this.#length = at;
  }

  #control(byte: number): 0 {
    const out = this.#buffer;
    const at = this.#length;
    out[at] = 0x5c;
    const short = byte === 0x0a ? 0x6e : byte === 0x0d ? 0x72 : byte === 0x22 || byte === 0x5c ? byte : 0;
    if (short !== 0) {
      out[at + 1] = short;
      this.#length = at + 2;
      return 0;
    }
    out.write('u00', at + 1, 'latin1');
    out[at + 4] = HEX[byte >> 4] ?? 0;
    out[at + 5] = HEX[byte & 0xf] ?? 0;
    this.#length = at + LONGEST_ESCAPE;
    return 0;
  }

  /** A character of several bytes; how many bytes it has beyond the first. */
  #wide(bytes: Buffer, at: number, end: number): number {
    const length = characterLength(bytes, at, end);
    if (length === 0) this.#put(REPLACEMENT);
    else if (bytes[at] === 0xe2 && bytes[at + 1] === 0x80 && bytes[at + 2] === 0xa8) this.#put(LINE_SEPARATOR);
    else if (bytes[at] === 0xe2 && bytes[at + 1] === 0x80 && bytes[at + 2] === 0xa9) this.#put(PARAGRAPH_SEPARATOR);
    else {
      bytes.copy(this.#buffer, this.#length, at, at + length);
      this.#length += length;
    }
    return Math.max(0, length - 1);
  }

  #put(piece: Buffer): void {
    piece.copy(this.#buffer, this.#length);
    this.#length += piece.length;
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
