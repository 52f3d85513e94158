/**
 * gzip by a codec of the host: the members of an input one after another (RFC 1952), checked as zlib checks them and
 * refused in its words.
 *
 * ```
 * member   1f 8b · method (8) · flags · mtime 4 · extra flags · os        flags: 1 text · 2 header crc · 4 extra · 8 name · 16 comment
 *          [length 2 · extra] · [name … 0] · [comment … 0] · [crc 2] · deflate stream · crc32 4 · length 4
 * ```
 * Zeros behind the last member are padding (tapes have it); anything else there must be another member.
 */
import { crc32 } from 'node:zlib';
import { InvalidArgumentError } from '../../../../base/errors.ts';
import type { Inflater, StreamFault } from '../../../kernel/codecs.ts';
import { unexpectedEnd } from '../tar/entry.ts';
import type { InputWindow } from './input-window.ts';

const OUTPUT_BYTES = 512 * 1024;
const FIXED_HEADER_BYTES = 10;
const DEFLATE_METHOD = 8;
const HEADER_CRC = 2;
const EXTRA = 4;
const NAME = 8;
const COMMENT = 16;
const RESERVED_FLAGS = 0xe0;

const FAULT_TEXTS: Readonly<Record<StreamFault, string>> = {
  block: 'invalid block type',
  code: 'invalid code lengths set',
  distance: 'invalid distance too far back',
  checksum: 'incorrect data check',
};

/** Undoes all members. Each piece is good until the next. InvalidArgumentError for a broken or cut one. */
export async function inflateMembers(
  window: InputWindow,
  inflater: Inflater,
  take: (piece: Buffer) => void,
): Promise<void> {
  let [room, spare] = [Buffer.allocUnsafeSlow(OUTPUT_BYTES), Buffer.allocUnsafeSlow(OUTPUT_BYTES)];
  let made: Buffer | null = null;
  skipHeader(window);
  for (let more = true; more;) {
    const pending = inflater.step(window.rest(), room);
    let step: Awaited<typeof pending>;
    try {
      // While the next piece is made in the pool.
      if (made !== null) take(made);
    } finally {
      step = await pending;
    }
    window.skip(step.consumedBytes);
    made = step.producedBytes === 0 ? null : room.subarray(0, step.producedBytes);
    if (step.fault !== null) throw new InvalidArgumentError(FAULT_TEXTS[step.fault]);
    if (step.ended) {
      more = beginNext(window, inflater);
    } else if (step.producedBytes < room.length) {
      if (!window.isEmpty()) throw new InvalidArgumentError(FAULT_TEXTS.block);
      if (!window.refill()) throw unexpectedEnd();
    }
    [room, spare] = [spare, room];
  }
  if (made !== null) take(made);
}

/** False when only padding is left. */
function beginNext(window: InputWindow, inflater: Inflater): boolean {
  const next = window.peek();
  if (next === null || next === 0) return false;
  inflater.next();
  skipHeader(window);
  return true;
}

function skipHeader(window: InputWindow): void {
  const start = Buffer.from(Array.from({ length: FIXED_HEADER_BYTES }, () => window.byte()));
  if (start[0] !== 0x1f || start[1] !== 0x8b) throw new InvalidArgumentError('incorrect header check');
  if (start[2] !== DEFLATE_METHOD) throw new InvalidArgumentError('unknown compression method');
  const flags = start[3] ?? 0;
  if ((flags & RESERVED_FLAGS) !== 0) throw new InvalidArgumentError('unknown header flags set');
  let crc = crc32(start);
  const byte = (): number => {
    const value = window.byte();
    if ((flags & HEADER_CRC) !== 0) crc = crc32(Buffer.of(value), crc);
    return value;
  };
  if ((flags & EXTRA) !== 0) for (let left = byte() + 256 * byte(); left > 0; left--) byte();
  if ((flags & NAME) !== 0) while (byte() !== 0);
  if ((flags & COMMENT) !== 0) while (byte() !== 0);
  if ((flags & HEADER_CRC) === 0) return;
  const expected = crc & 0xffff;
  if (window.byte() + 256 * window.byte() !== expected) throw new InvalidArgumentError('header crc mismatch');
}
