import { describe, expect, it } from 'vitest';
import {
  millisecondsOf,
  secondsOf,
  timestampOf,
  usecOf,
  usecOfSeconds,
  usecOfText,
} from '../../../src/dbus/bus/times.ts';

describe('times on the bus', () => {
  it('are microseconds since 1970, there and back', () => {
    expect(usecOf(timestampOf(1_700_000_000_123_456n))).toBe(1_700_000_000_123_456n);
    expect(usecOfText('2023-11-14T22:13:20.5Z')).toBe(1_700_000_000_500_000n);
  });

  it.each([undefined, '', 'yesterday', '1969-12-31T23:59:59Z'])('are 0 for %s', (text) => {
    expect(usecOfText(text)).toBe(0n);
  });
});

describe('spans on the bus', () => {
  it('end never when they are the longest', () => {
    expect(millisecondsOf(2n ** 64n - 1n)).toBe(Infinity);
    expect(millisecondsOf(1500n)).toBe(1.5);
  });

  it('are whole seconds, rounded up, where the engine counts so', () => {
    expect([0n, 1n, 1_000_000n, 1_000_001n].map(secondsOf)).toEqual([0n, 1n, 1n, 2n]);
    expect(usecOfSeconds(3)).toBe(3_000_000n);
  });
});
