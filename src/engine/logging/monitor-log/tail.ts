import { open, type FileHandle } from 'node:fs/promises';
import { isPartial, NEWLINE, TEXT_AT } from './line.ts';

/** How much is read at a time, going backwards. */
const CHUNK_BYTES = 64 * 1024;

/** Where the last `lines` whole lines of the files (oldest first) begin; null when there is no file. */
export async function tailPosition(
  files: readonly string[],
  lines: number,
): Promise<{ readonly path: string; readonly position: number } | null> {
  let wanted = lines;
  /** The last record of all ends a line even when the process never did; one at the end of a rotated file does not. */
  let newest = true;
  for (const path of files.toReversed()) {
    const file = await open(path, 'r');
    try {
      const found = await lastLines(file, wanted, newest);
      if (found.position !== null) return { path, position: found.position };
      wanted -= found.lines;
      newest &&= found.empty;
    } finally {
      await file.close();
    }
  }
  const [oldest] = files;
  return oldest === undefined ? null : { path: oldest, position: 0 };
}

interface LastLines {
  /** Null: the file has no more than `wanted` lines. */
  readonly position: number | null;
  readonly lines: number;
  readonly empty: boolean;
}

/** What a scan backwards through one file has found so far. */
interface Scan {
  readonly wanted: number;
  lines: number;
  /** Start of the record after the one being looked at; the answer when that one is too many. */
  next: number;
  /** The record being looked at ends a line in any case. */
  last: boolean;
}

/** Goes backwards through a file until one line more than `wanted` would begin. */
async function lastLines(file: FileHandle, wanted: number, newest: boolean): Promise<LastLines> {
  const { size } = await file.stat();
  const scan: Scan = { wanted, lines: 0, next: size, last: newest };
  // A record's head may reach past the chunk it begins in.
  const buffer = Buffer.alloc(CHUNK_BYTES + TEXT_AT);
  // The newline at the very end ends the last record; it does not begin another.
  for (let end = size - 1; end > 0;) {
    const from = Math.max(0, end - CHUNK_BYTES);
    await file.read(buffer, 0, end - from + TEXT_AT, from);
    if (hasEnough(buffer, from, end - from, scan)) return { position: scan.next, lines: scan.lines, empty: false };
    end = from;
  }
  return { position: null, lines: scan.lines, empty: size === 0 };
}

/** Looks at the records that begin in a chunk, last first; true when one is more than is wanted. */
function hasEnough(buffer: Buffer, from: number, length: number, scan: Scan): boolean {
  for (let at = buffer.lastIndexOf(NEWLINE, length - 1); at >= 0;) {
    if (isTooMany(buffer, at + 1, from, scan)) return true;
    at = at === 0 ? -1 : buffer.lastIndexOf(NEWLINE, at - 1);
  }
  return from === 0 && isTooMany(buffer, 0, from, scan);
}

function isTooMany(buffer: Buffer, start: number, from: number, scan: Scan): boolean {
  const endsLine = scan.last || !isPartial(buffer, start);
  scan.last = false;
  if (endsLine && scan.lines === scan.wanted) return true;
  if (endsLine) scan.lines += 1;
  scan.next = from + start;
  return false;
}
