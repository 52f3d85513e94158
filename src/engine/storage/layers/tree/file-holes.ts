import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync, type BigIntStats } from 'node:fs';
import type { DataExtent, FileCalls } from '../../../kernel/files.ts';

/** The unit of `blocks` in stat(2), whatever the file system's own is. */
const STAT_BLOCK_BYTES = 512n;
const COPY_BYTES = 256 * 1024;

/** True for a file that takes less of the disk than its size. */
export function hasHoles(info: BigIntStats): boolean {
  return info.blocks * STAT_BLOCK_BYTES < info.size;
}

/** Copies an open file to a new one, holes as holes. */
export function copyHoles(files: FileCalls, source: number, to: Buffer, size: number): void {
  const target = openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    fillWithHoles(files, source, { target, size });
  } finally {
    closeSync(target);
  }
}

/** The same for an empty file that is open already. */
export function fillWithHoles(
  files: FileCalls,
  source: number,
  { target, size }: { readonly target: number; readonly size: number },
): void {
  ftruncateSync(target, size);
  for (let extent = files.nextData(source, 0); extent !== null; extent = files.nextData(source, extent.end)) {
    copyRange(source, target, extent);
  }
}

function copyRange(source: number, target: number, { start, end }: DataExtent): void {
  const buffer = Buffer.allocUnsafe(Math.min(end - start, COPY_BYTES));
  for (let position = start; position < end;) {
    const read = readSync(source, buffer, 0, Math.min(buffer.length, end - position), position);
    if (read === 0) return;
    for (let done = 0; done < read;) done += writeSync(target, buffer, done, read - done, position + done);
    position += read;
  }
}
