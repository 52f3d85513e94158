/**
 * The 512-byte header block.
 *
 * ```
 *   0 name[100] · 100 mode[8] · 108 uid[8] · 116 gid[8] · 124 size[12] · 136 mtime[12] · 148 chksum[8] · 156 typeflag
 * 157 linkname[100] · 257 magic[8] · 265 uname[32] · 297 gname[32] · 329 devmajor[8] · 337 devminor[8]
 * ustar:  345 prefix[155]
 * GNU:    345 atime[12] · 357 ctime[12] · 386 sparse[4 × 24] · 482 isextended · 483 realsize[12]
 * ```
 * Numbers are octal text, or big-endian base 256 when the first bit is set (GNU, star).
 */
import { invalidHeader, type ByteString } from './entry.ts';

export const BLOCK_BYTES = 512;

/** The fields of one header block as they stand there. */
export interface TarHeader {
  readonly format: 'v7' | 'ustar' | 'gnu';
  /** The type flag's character. */
  readonly flag: string;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Reads a header block; null for a block of zeros. InvalidArgumentError for anything else that is no header. */
export function parseHeader(block: Buffer): TarHeader | null {
  if (!checksumMatches(block)) {
    if (isZero(block)) return null;
    throw invalidHeader();
  }
  const format = formatOf(block);
  const prefix = format === 'ustar' ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const sizeBytes = number(block, 124, 12);
  if (sizeBytes < 0 || !Number.isSafeInteger(sizeBytes)) throw invalidHeader();
  return {
    format,
    flag: String.fromCharCode(block[156] ?? 0),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    sizeBytes,
    mtimeSeconds: number(block, 136, 12),
    deviceMajor: format === 'v7' ? 0 : number(block, 329, 8),
    deviceMinor: format === 'v7' ? 0 : number(block, 337, 8),
  };
}

/** A NUL-terminated field. */
export function text(block: Buffer, at: number, length: number): ByteString {
  let end = at;
  while (end < at + length && block[end] !== 0) end += 1;
  return block.toString('latin1', at, end);
}

/** A numeric field, octal or base 256. */
export function number(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) return octal(block, at, length);
  const negative = (first & 0x40) !== 0;
  let value = negative ? first - 0x100 : first & 0x7f;
  for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (block[index] ?? 0);
  // Longer numbers than we can hold are lies or accidents: no file, id or time is that large.
  if (!Number.isSafeInteger(value)) throw invalidHeader();
  return value;
}

function octal(block: Buffer, at: number, length: number): number {
  let index = at;
  let end = at + length;
  while (index < end && isPadding(block[index])) index += 1;
  while (end > index && isPadding(block[end - 1])) end -= 1;
  let value = 0;
  for (; index < end; index += 1) {
    const byte = block[index] ?? 0;
    // A NUL within ends the number: some writers leave rubbish behind it.
    if (byte === 0) break;
    if (byte < 0x30 || byte > 0x37) throw invalidHeader();
    value = value * 8 + (byte - 0x30);
  }
  return value;
}

function isPadding(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0;
}

function formatOf(block: Buffer): TarHeader['format'] {
  const magic = block.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return 'gnu';
  return magic.startsWith('ustar\0') ? 'ustar' : 'v7';
}

/** The sum of all bytes, the checksum field counted as spaces; old writers summed signed bytes. */
function checksumMatches(block: Buffer): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    const byte = index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  let stored: number;
  try {
    stored = octal(block, 148, 8);
  } catch {
    return false;
  }
  return stored === unsigned || stored === signed;
}

function isZero(block: Buffer): boolean {
  for (let index = 0; index < BLOCK_BYTES; index += 1) if (block[index] !== 0) return false;
  return true;
}
