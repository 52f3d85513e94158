import type { FileCalls } from '../../../kernel/files.ts';
import type { SparseSegment } from './entry.ts';

/** What file systems give a file at least, but for the smallest: one archive comes of a file, whichever it lies on. */
const GRAIN_BYTES = 4096;

/** What of an open file is not a hole, in rising order. */
export function segmentsOf(
  files: Pick<FileCalls, 'nextData'>,
  fd: number,
  sizeBytes: number,
): readonly SparseSegment[] {
  const segments: SparseSegment[] = [];
  let end = 0;
  for (let extent = files.nextData(fd, 0); extent !== null; extent = files.nextData(fd, extent.end)) {
    if (extent.start >= sizeBytes) break;
    const start = extent.start - (extent.start % GRAIN_BYTES);
    const last = segments.at(-1);
    const isNext = last !== undefined && start <= end;
    end = Math.min(Math.ceil(extent.end / GRAIN_BYTES) * GRAIN_BYTES, sizeBytes);
    if (isNext) segments[segments.length - 1] = { offset: last.offset, length: end - last.offset };
    else segments.push({ offset: start, length: end - start });
  }
  // A file that ends in a hole: an empty segment tells where.
  return end < sizeBytes ? [...segments, { offset: sizeBytes, length: 0 }] : segments;
}
