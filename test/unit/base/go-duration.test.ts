import { describe, expect, it } from 'vitest';
import { formatGoDuration, parseGoDuration } from '../../../src/base/go-duration.ts';

describe("Go's durations", () => {
  it('are read', () => {
    expect(['1m30s', '1.5h', '0', '100ms', '-5s', '2us'].map(parseGoDuration)).toEqual([
      90e9, 5400e9, 0, 1e8, -5e9, 2000,
    ]);
  });

  it('are refused', () => {
    expect(['', '5', 's', '1x', '1s '].map(parseGoDuration)).toEqual([null, null, null, null, null]);
  });

  it('are written as Go writes them', () => {
    expect([0, 500, 1500, 1e8, 1e9, 1.5e9, 30e9, 60e9, 90e9, 3600e9, 3725e9].map(formatGoDuration)).toEqual([
      '0s',
      '500ns',
      '1.5µs',
      '100ms',
      '1s',
      '1.5s',
      '30s',
      '1m0s',
      '1m30s',
      '1h0m0s',
      '1h2m5s',
    ]);
  });
});
