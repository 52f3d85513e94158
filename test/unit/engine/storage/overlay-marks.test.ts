import { describe, expect, it } from 'vitest';
import { OVERLAY_MARKS, overlayMarksOf } from '../../../../src/engine/storage/overlay-marks.ts';

const ON_HOST = { prefix: 'trusted.overlay.', mountOptions: [] };
const INSIDE = { prefix: 'user.overlay.', mountOptions: ['userxattr'] };

describe('marks of overlayfs', () => {
  it.each([
    ['         0          0 4294967295\n', ON_HOST],
    ['', ON_HOST],
    ['         0       1000          1\n', INSIDE],
    ['         0          0      65536\n', INSIDE],
    ['         0     100000      65536\n     65536       1000          1\n', INSIDE],
  ])('with the map %j are as its root may write them', (map, marks) => {
    expect(overlayMarksOf(map)).toEqual(marks);
  });

  it('are of one kind in a process', () => {
    expect([ON_HOST, INSIDE]).toContainEqual(OVERLAY_MARKS);
  });
});
