/**
 * Where the frames of a zstd file begin and end (RFC 8878), found without decompressing: Node's decompressor stops after
 * one frame, and layers often have many (a skippable one in front, one a file in seekable layers).
 *
 * ```
 * frame      28 b5 2f fd · descriptor · [window 1] · [dictionary 0,1,2,4] · [content size 0,1,2,4,8] · block … · [checksum 4]
 * block      3 bytes little-endian: last (1 bit) · type (2 bits) · size (21 bits), then the block (1 byte when type is RLE)
 * skippable  5x 2a 4d 18 · size 4 · as many bytes
 * ```
 */
import { readSync } from 'node:fs';
import { InvalidArgumentError } from '../../../../base/errors.ts';
import { unexpectedEnd } from '../tar/entry.ts';

export const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE = 1;
const RESERVED = 3;
export const BLOCK_HEAD_BYTES = 3;
export const CHECKSUM_BYTES = 4;

/** The data frames of the first `size` bytes of an open file; skippable ones are left out. */
export function* zstdFrames(
  fd: number,
  size: number,
): Generator<{ readonly start: number; readonly end: number }, void, void> {
  const head = Buffer.alloc(8);
  for (let start = 0; start < size;) {
    readExactly(fd, head, 5, start);
    const magic = head.readUInt32LE(0);
    if (isSkippable(magic)) {
      readExactly(fd, head, 8, start);
      start += 8 + head.readUInt32LE(4);
      continue;
    }
    if (magic !== MAGIC) throw new InvalidArgumentError('invalid input: magic number mismatch');
    const end = endOfFrame(fd, start, head[4] ?? 0);
    // A frame that is cut short is given as far as it goes: the decompressor says what is wrong.
    yield { start, end: Math.min(end, size) };
    start = end;
  }
}

export function isSkippable(magic: number): boolean {
  return (magic & ~0xf) >>> 0 === SKIPPABLE_MAGIC;
}

/** Length of a frame's head, with its magic number. */
export function frameHeadBytes(descriptor: number): number {
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const contentSize = sizeFlag === 0 && singleSegment ? 1 : (SIZE_BYTES[sizeFlag] ?? 0);
  return 5 + (singleSegment ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + contentSize;
}

export function hasChecksum(descriptor: number): boolean {
  return (descriptor & 0x04) !== 0;
}

/** What a block's head says. InvalidArgumentError for a kind that there is not. */
export function blockOf(head: number): { readonly isLast: boolean; readonly sizeBytes: number } {
  const type = (head >> 1) & 3;
  if (type === RESERVED) throw new InvalidArgumentError('invalid input: reserved block type');
  return { isLast: (head & 1) !== 0, sizeBytes: type === RLE ? 1 : head >> 3 };
}

function endOfFrame(fd: number, start: number, descriptor: number): number {
  let at = start + frameHeadBytes(descriptor);
  const head = Buffer.alloc(BLOCK_HEAD_BYTES);
  for (;;) {
    readExactly(fd, head, BLOCK_HEAD_BYTES, at);
    const { isLast, sizeBytes } = blockOf(head.readUIntLE(0, BLOCK_HEAD_BYTES));
    at += BLOCK_HEAD_BYTES + sizeBytes;
    if (isLast) return at + (hasChecksum(descriptor) ? CHECKSUM_BYTES : 0);
  }
}

function readExactly(fd: number, buffer: Buffer, length: number, position: number): void {
  if (readSync(fd, buffer, 0, length, position) < length) throw unexpectedEnd();
}
