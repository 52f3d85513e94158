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

/** Goes backwards through a file until one line more than `wanted` would begin. */
async function lastLines(file: FileHandle, wanted: number, newest: boolean): Promise<LastLines> {
  const { size } = await file.stat();
  let lines = 0;
  /** Start of the record after the one being looked at; what we answer when that one is too many. */
  let next = size;
  let last = newest;
  for await (const { start, head } of recordsBackwards(file, size)) {
    const endsLine = last || !isPartial(head, 0);
    last = false;
    if (endsLine && lines === wanted) return { position: next, lines, empty: false };
    if (endsLine) lines += 1;
    next = start;
  }
  return { position: null, lines, empty: size === 0 };
}

/** Start and head of each record, last first. */
async function* recordsBackwards(
  file: FileHandle,
  size: number,
): AsyncGenerator<{ readonly start: number; readonly head: Buffer }, void, void> {
  // A head may reach past the chunk it begins in.
  const buffer = Buffer.alloc(CHUNK_BYTES + TEXT_AT);
  // The newline at the very end ends the last record; it does not begin another.
  let end = size - 1;
  while (end > 0) {
    const from = Math.max(0, end - CHUNK_BYTES);
    const length = end - from;
    await file.read(buffer, 0, length + TEXT_AT, from);
    for (
      let at = buffer.lastIndexOf(NEWLINE, length - 1);
      at >= 0;
      at = at === 0 ? -1 : buffer.lastIndexOf(NEWLINE, at - 1)
    ) {
      yield { start: from + at + 1, head: buffer.subarray(at + 1, at + 1 + TEXT_AT) };
    }
    if (from === 0) yield { start: 0, head: buffer.subarray(0, TEXT_AT) };
    end = from;
  }
}
