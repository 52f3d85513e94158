/**
 * Sparse files: four spellings, one meaning, a list of segments in rising order within the file's real size.
 *
 * - old GNU, type `S`: four (offset, length) pairs in the header, 21 more in each extension block;
 * - PAX 0.0 and 0.1: the pairs are in the PAX header (`GNU.sparse.map`);
 * - PAX 1.0: `GNU.sparse.major=1`, the pairs stand as decimal lines at the start of the member's data, padded to a block.
 */
import { invalidHeader, type SparseSegment } from './entry.ts';
import { BLOCK_BYTES, number } from './header.ts';
import { decimal } from './pax.ts';

const PAIR_BYTES = 24;
const HEADER_PAIRS_AT = 386;
const HEADER_PAIRS = 4;
const EXTENSION_PAIRS = 21;
/** Where the flag "another extension block follows" stands. */
const HEADER_MORE_AT = 482;
const EXTENSION_MORE_AT = 504;
const REAL_SIZE_AT = 483;
/** A map longer than this is an attack on our memory: it describes a gigabyte file with a hole every 16 KiB. */
const MAX_SEGMENTS = 65_536;
/** More than any number that {@link decimal} takes. */
const MAX_NUMBER_DIGITS = 20;

/** The pairs in an old GNU header or (`extension`) in one of its extension blocks. */
export function oldGnuPairs(
  block: Buffer,
  extension: boolean,
): { readonly segments: readonly SparseSegment[]; readonly more: boolean } {
  const start = extension ? 0 : HEADER_PAIRS_AT;
  const count = extension ? EXTENSION_PAIRS : HEADER_PAIRS;
  const segments: SparseSegment[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = start + index * PAIR_BYTES;
    // An empty pair ends the list.
    if (block[at] === 0) break;
    segments.push({ offset: number(block, at, 12), length: number(block, at + 12, 12) });
  }
  return { segments, more: block[extension ? EXTENSION_MORE_AT : HEADER_MORE_AT] === 1 };
}

/** The real size in an old GNU sparse header. */
export function oldGnuRealSize(block: Buffer): number {
  return number(block, REAL_SIZE_AT, 12);
}

/** `offset,length,offset,length…` of PAX 0.1. */
export function paxMap(map: string): readonly SparseSegment[] {
  if (map === '') return [];
  return pairUp(map.split(',').map(decimal));
}

/** Reads the map that opens the data of a PAX 1.0 sparse member, block by block. */
export class DataMapReader {
  #text = '';
  #numbers: number[] = [];
  #expected: number | null = null;

  /** Takes one block; the segments when this was the last of the map, else null. */
  push(block: Buffer): readonly SparseSegment[] | null {
    const lines = (this.#text + block.toString('latin1', 0, BLOCK_BYTES)).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#expected === null) {
        const count = decimal(line);
        if (count > MAX_SEGMENTS) throw invalidHeader();
        this.#expected = count * 2;
      } else if (this.#numbers.length < this.#expected) {
        this.#numbers.push(decimal(line));
      }
    }
    if (this.#expected !== null && this.#numbers.length >= this.#expected) return pairUp(this.#numbers);
    if (this.#text.length > MAX_NUMBER_DIGITS) throw invalidHeader();
    return null;
  }
}

/** The segments when they rise, do not overlap and fit into the file; InvalidArgumentError otherwise. */
export function checkedSegments(segments: readonly SparseSegment[], realSize: number): readonly SparseSegment[] {
  if (segments.length > MAX_SEGMENTS || realSize < 0) throw invalidHeader();
  let end = 0;
  for (const { offset, length } of segments) {
    if (offset < end || length < 0 || offset + length > realSize) throw invalidHeader();
    end = offset + length;
  }
  return segments;
}

function pairUp(numbers: readonly number[]): readonly SparseSegment[] {
  if (numbers.length % 2 !== 0) throw invalidHeader();
  const segments: SparseSegment[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    segments.push({ offset: numbers[index] ?? 0, length: numbers[index + 1] ?? 0 });
  }
  return segments;
}
