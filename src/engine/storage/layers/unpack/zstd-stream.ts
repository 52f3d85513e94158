/** The frames of a zstd input that comes; see zstd-frames.ts for their form and for why they are taken one by one. */
import { InvalidArgumentError } from '../../../../base/errors.ts';
import { unexpectedEnd } from '../tar/entry.ts';
import type { InputWindow } from './input-window.ts';
import {
  BLOCK_HEAD_BYTES,
  blockOf,
  CHECKSUM_BYTES,
  frameHeadBytes,
  hasChecksum,
  isSkippable,
  MAGIC,
} from './zstd-frames.ts';

const MAGIC_BYTES = 4;

/** The bytes of the next data frame, to be read to their end; null when there is no other. */
export function nextZstdFrame(window: InputWindow): Generator<Buffer, void, void> | null {
  for (;;) {
    if (window.peek() === null) return null;
    const magic = exactly(window, MAGIC_BYTES);
    if (isSkippable(magic.readUInt32LE())) {
      for (const _ of bytesOf(window, exactly(window, MAGIC_BYTES).readUInt32LE()));
      continue;
    }
    if (magic.readUInt32LE() !== MAGIC) throw new InvalidArgumentError('invalid input: magic number mismatch');
    return frameOf(window, magic);
  }
}

function* frameOf(window: InputWindow, magic: Buffer): Generator<Buffer, void, void> {
  const descriptor = window.byte();
  yield Buffer.concat([magic, Buffer.of(descriptor)]);
  yield* bytesOf(window, frameHeadBytes(descriptor) - MAGIC_BYTES - 1);
  for (let isLast = false; !isLast;) {
    const head = exactly(window, BLOCK_HEAD_BYTES);
    const block = blockOf(head.readUIntLE(0, BLOCK_HEAD_BYTES));
    yield head;
    yield* bytesOf(window, block.sizeBytes);
    isLast = block.isLast;
  }
  if (hasChecksum(descriptor)) yield exactly(window, CHECKSUM_BYTES);
}

function* bytesOf(window: InputWindow, length: number): Generator<Buffer, void, void> {
  for (let left = length; left > 0;) {
    if (!window.refill()) throw unexpectedEnd();
    const piece = Buffer.from(window.rest().subarray(0, left));
    window.skip(piece.length);
    left -= piece.length;
    yield piece;
  }
}

function exactly(window: InputWindow, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => window.byte()));
}
