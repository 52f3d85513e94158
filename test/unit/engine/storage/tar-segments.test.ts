import { describe, expect, it } from 'vitest';
import { segmentsOf } from '../../../../src/engine/storage/layers/tar/segments.ts';

/** A file with data where these pairs of a start and an end say. */
function fileOf(...extents: readonly (readonly [number, number])[]) {
  return {
    nextData: (_fd: number, offset: number) => {
      const found = extents.find(([, end]) => end > offset);
      return found === undefined ? null : { start: Math.max(found[0], offset), end: found[1] };
    },
  };
}

describe('segments of a file with holes', () => {
  it.each([
    [
      'blocks of 1 KiB as those of 4 KiB',
      [[10_240, 11_264]],
      100_000,
      [
        [8192, 4096],
        [100_000, 0],
      ],
    ],
    [
      'neighbours within one grain as one',
      [
        [4096, 5120],
        [7168, 9216],
      ],
      50_000,
      [
        [4096, 8192],
        [50_000, 0],
      ],
    ],
    ['the last no longer than the file', [[8192, 9216]], 9000, [[8192, 808]]],
    [
      'data behind the end as none',
      [
        [0, 4096],
        [20_480, 24_576],
      ],
      10_000,
      [
        [0, 4096],
        [10_000, 0],
      ],
    ],
    ['nothing but a hole', [], 5000, [[5000, 0]]],
    ['no hole at all', [[0, 12_288]], 12_000, [[0, 12_000]]],
  ] as const)('takes %s', (_what, extents, sizeBytes, expected) => {
    const segments = segmentsOf(fileOf(...extents), 3, sizeBytes);
    expect(segments.map(({ offset, length }) => [offset, length])).toEqual(expected);
  });
});
