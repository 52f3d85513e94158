import { describe, expect, it } from 'vitest';
import { amd64Level, bestPlatform, hostPlatform } from '../../../src/service/compose/host-platform.ts';

const V2 = 'cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3';
const V3 = `${V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave`;
const V4 = `${V3} avx512f avx512bw avx512cd avx512dq avx512vl`;

describe('the level of an x86-64 CPU', () => {
  it.each([
    ['fpu sse sse2', null],
    [V2, 'v2'],
    [V3, 'v3'],
    [V4, 'v4'],
    // A level counts only on top of the one before.
    [V3.replace('popcnt ', ''), null],
    [V4.replace('movbe ', ''), 'v2'],
  ])('%s', (flags, level) => {
    expect(amd64Level(`processor\t: 0\nflags\t\t: ${flags}\nbugs\t\t:\n\nprocessor\t: 1\nflags\t\t: fpu\n`)).toBe(
      level,
    );
  });

  it('is unknown where nothing is said', () => {
    expect(amd64Level('')).toBeNull();
  });

  it('is told with the platform of this machine', () => {
    const { os, architecture } = hostPlatform();
    expect(os).toBe('linux');
    expect(bestPlatform()).toMatchObject({ os, architecture });
  });
});
