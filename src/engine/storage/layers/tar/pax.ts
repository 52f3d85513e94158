import { invalidHeader } from './entry.ts';

/** Records of a PAX header, values as bytes. */
export type PaxRecords = Map<string, Buffer>;

/** Sparse maps of version 0.0 repeat these two keys: they are gathered under the key of version 0.1. */
const SPARSE_OFFSET = 'GNU.sparse.offset';
const SPARSE_LENGTH = 'GNU.sparse.numbytes';
export const SPARSE_MAP = 'GNU.sparse.map';

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;
/** More digits than any record within our limit on headers can have. */
const MAX_LENGTH_DIGITS = 10;

/**
 * Parses `"%d %s=%s\n"` records (POSIX pax, "Extended Header"). The number counts the whole record; values may hold
 * anything, newlines too.
 */
export function parsePax(bytes: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  const sparse: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const { key, value, next } = parseRecord(bytes, at);
    at = next;
    if (key === SPARSE_OFFSET || key === SPARSE_LENGTH) {
      // They must take turns, or the pairs would shift unseen.
      if ((key === SPARSE_OFFSET) !== (sparse.length % 2 === 0)) throw invalidHeader();
      sparse.push(value.toString('latin1'));
    } else {
      records.set(key, value);
    }
  }
  if (sparse.length > 0) records.set(SPARSE_MAP, Buffer.from(sparse.join(',')));
  return records;
}

function parseRecord(bytes: Buffer, at: number): { key: string; value: Buffer; next: number } {
  const space = bytes.indexOf(SPACE, at);
  if (space < 0 || space - at > MAX_LENGTH_DIGITS) throw invalidHeader();
  const length = decimal(bytes.toString('latin1', at, space));
  const next = at + length;
  if (next > bytes.length || bytes[next - 1] !== NEWLINE) throw invalidHeader();
  const equals = bytes.indexOf(EQUALS, space);
  if (equals < 0 || equals >= next - 1 || equals === space + 1) throw invalidHeader();
  const key = bytes.toString('utf8', space + 1, equals);
  const value = bytes.subarray(equals + 1, next - 1);
  // Only extended attributes are binary: a NUL in a path would cut it short in the kernel.
  if (value.includes(0) && !key.startsWith('SCHILY.xattr.')) throw invalidHeader();
  return { key, value, next };
}

/** A plain decimal number. */
export function decimal(digits: string): number {
  if (!/^\d{1,16}$/.test(digits)) throw invalidHeader();
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw invalidHeader();
  return value;
}

const NS_PER_SECOND = 1_000_000_000n;

/** `[-]seconds[.fraction]` to nanoseconds. */
export function parsePaxTime(textual: string): bigint {
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(textual);
  if (match === null) throw invalidHeader();
  const [, sign, seconds = '0', fraction = ''] = match;
  const ns = BigInt(seconds) * NS_PER_SECOND + BigInt(fraction.padEnd(9, '0').slice(0, 9));
  return sign === '-' ? -ns : ns;
}
