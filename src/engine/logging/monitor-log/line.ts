/**
 * The lines that conmon writes (its `k8s-file` format), byte by byte:
 *
 * ```
 * 0                                  35 36     42 43 44 45
 * 2026-01-31T12:34:56.123456789+00:00 ␠ stdout ␠ F ␠ text…\n
 * ```
 *
 * The time has nine digits of fraction and the writer's offset. The stream is `stdout` or `stderr`. `F` ends a line of the
 * process, whose newline is the one that ends the record; `P` is a part of an overlong line, or of one the process never
 * ended, and the newline after it is none of the process's.
 */
import { parseTimestamp, type Timestamp } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { OutputStream } from '../../oci/streams.ts';
import type { LogRecord } from '../driver.ts';

export const TIME_LENGTH = 35;
const STREAM_LETTER_AT = 39;
const FLAG_AT = 43;
/** Where the text of a record begins. */
export const TEXT_AT = 45;
const SECONDS_LENGTH = 19;
const FRACTION_AT = 20;
const FRACTION_DIGITS = 9;

const LETTER_E = 'e'.charCodeAt(0);
const LETTER_P = 'P'.charCodeAt(0);
const SPACE = ' '.charCodeAt(0);
const DIGIT_0 = '0'.charCodeAt(0);
export const NEWLINE = 10;

/** Where a chunk was read. */
export interface ChunkOrigin {
  readonly inode: number;
  /** Of its first byte in the file. */
  readonly position: number;
}

/** Where a record is: its file, its first byte there, and its time, by which another file of that inode is known. */
export interface RecordPlace {
  readonly inode: number;
  readonly position: number;
  readonly time: Timestamp;
}

/** `inode-position-nanoseconds` */
function formatCursor({ inode, position, time }: RecordPlace): string {
  return `${String(inode)}-${String(position)}-${String(time)}`;
}

/** InvalidArgumentError when the text is none of {@link LineRecord.cursor}'s. */
export function parseCursor(text: string): RecordPlace {
  const [, inode, position, time] = /^(\d{1,15})-(\d{1,15})-(\d{1,20})$/.exec(text) ?? [];
  if (time === undefined) throw new InvalidArgumentError(`invalid log cursor: ${JSON.stringify(text)}`);
  return { inode: Number(inode), position: Number(position), time: BigInt(time) as Timestamp };
}

/** One record where it lies in a chunk; the time is only worked out for who asks. */
export class LineRecord implements LogRecord {
  readonly stream: OutputStream;
  readonly data: Buffer;
  readonly partial: boolean;
  readonly #chunk: Buffer;
  readonly #start: number;
  readonly #origin: ChunkOrigin;

  /** `start` is the record's first byte, `end` the place of its newline. */
  constructor(chunk: Buffer, start: number, end: number, origin: ChunkOrigin) {
    this.stream = isStderr(chunk, start) ? 'stderr' : 'stdout';
    this.partial = isPartial(chunk, start);
    this.data = chunk.subarray(start + TEXT_AT, this.partial ? end : end + 1);
    this.#chunk = chunk;
    this.#start = start;
    this.#origin = origin;
  }

  get cursor(): string {
    const { inode, position } = this.#origin;
    return formatCursor({ inode, position: position + this.#start, time: this.time });
  }

  get time(): Timestamp {
    return timeAt(this.#chunk, this.#start);
  }
}

/** Whether the bytes from `start` to the newline at `end` are a record; a crash of the host can leave others. */
export function isRecord(chunk: Buffer, start: number, end: number): boolean {
  return end - start >= TEXT_AT && chunk[start + TIME_LENGTH] === SPACE && chunk[start + TEXT_AT - 1] === SPACE;
}

/** Whether the record at `start` is of stderr. */
export function isStderr(chunk: Buffer, start: number): boolean {
  return chunk[start + STREAM_LETTER_AT] === LETTER_E;
}

/** Whether the record at `start` is a part of a line that goes on. */
export function isPartial(chunk: Buffer, start: number): boolean {
  return chunk[start + FLAG_AT] === LETTER_P;
}

/** The time worked out last: conmon gives the same to all lines it got in one read, and lines come by the thousand. */
const known = { head: Buffer.alloc(TIME_LENGTH), time: 0n as Timestamp, secondNs: 0n };

/** The time of the record at `start`. */
export function timeAt(chunk: Buffer, start: number): Timestamp {
  const { head } = known;
  if (chunk.compare(head, 0, TIME_LENGTH, start, start + TIME_LENGTH) === 0) return known.time;
  const zoneAt = FRACTION_AT + FRACTION_DIGITS;
  const sameSecond =
    chunk.compare(head, 0, SECONDS_LENGTH, start, start + SECONDS_LENGTH) === 0 &&
    chunk.compare(head, zoneAt, TIME_LENGTH, start + zoneAt, start + TIME_LENGTH) === 0;
  chunk.copy(head, 0, start, start + TIME_LENGTH);
  if (!sameSecond) {
    const seconds = head.toString('latin1', 0, SECONDS_LENGTH);
    known.secondNs = parseTimestamp(`${seconds}${head.toString('latin1', zoneAt, TIME_LENGTH)}`) ?? 0n;
  }
  let fraction = 0;
  for (let at = FRACTION_AT; at < zoneAt; at += 1) fraction = fraction * 10 + (head[at] ?? DIGIT_0) - DIGIT_0;
  known.time = (known.secondNs + BigInt(fraction)) as Timestamp;
  return known.time;
}
