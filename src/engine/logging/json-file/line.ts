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
import type { OutputStream } from '../../oci/streams.ts';
import type { LogRecord } from '../driver.ts';

const TIME_LENGTH = 35;
const STREAM_LETTER_AT = 39;
const FLAG_AT = 43;
/** Where the text of a record begins. */
export const TEXT_AT = 45;
const SECONDS_LENGTH = 19;
const FRACTION_AT = 20;
const FRACTION_DIGITS = 9;

const LETTER_E = 'e'.charCodeAt(0);
const LETTER_P = 'P'.charCodeAt(0);
const DIGIT_0 = '0'.charCodeAt(0);
export const NEWLINE = 10;

/** One record where it lies in a chunk; the time is only worked out for who asks. */
export class LineRecord implements LogRecord {
  readonly stream: OutputStream;
  readonly data: Buffer;
  readonly partial: boolean;
  readonly #head: Buffer;

  /** `start` is the record's first byte, `end` the place of its newline. */
  constructor(chunk: Buffer, start: number, end: number) {
    this.stream = chunk[start + STREAM_LETTER_AT] === LETTER_E ? 'stderr' : 'stdout';
    this.partial = isPartial(chunk, start);
    this.data = chunk.subarray(start + TEXT_AT, this.partial ? end : end + 1);
    this.#head = chunk.subarray(start, start + TIME_LENGTH);
  }

  get time(): Timestamp {
    return timeOf(this.#head);
  }
}

/** Whether the record at `start` is a part of a line that goes on. */
export function isPartial(chunk: Buffer, start: number): boolean {
  return chunk[start + FLAG_AT] === LETTER_P;
}

let knownSeconds = '';
let knownZone = '';
let knownNs = 0n;

/** Lines come by the thousand within one second: its start is worked out once. */
function timeOf(head: Buffer): Timestamp {
  const seconds = head.toString('latin1', 0, SECONDS_LENGTH);
  const zone = head.toString('latin1', FRACTION_AT + FRACTION_DIGITS, TIME_LENGTH);
  if (seconds !== knownSeconds || zone !== knownZone) {
    knownNs = parseTimestamp(`${seconds}${zone}`) ?? 0n;
    knownSeconds = seconds;
    knownZone = zone;
  }
  let fraction = 0;
  for (let at = FRACTION_AT; at < FRACTION_AT + FRACTION_DIGITS; at += 1) {
    fraction = fraction * 10 + (head[at] ?? DIGIT_0) - DIGIT_0;
  }
  return (knownNs + BigInt(fraction)) as Timestamp;
}
