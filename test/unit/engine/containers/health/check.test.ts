import { describe, expect, it } from 'vitest';
import { checkOf } from '../../../../../src/engine/containers/health/check.ts';
import { ProbeOutput } from '../../../../../src/engine/containers/health/output.ts';

const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 };

describe('a health check', () => {
  it('has the defaults of Docker', () => {
    expect(checkOf({ Test: ['CMD', 'wget', '-q'] }, null)).toEqual({ command: ['wget', '-q'], ...DEFAULTS });
    expect(checkOf({ Test: ['CMD', 'a'], Interval: 0, Retries: 0 }, null)).toEqual({ command: ['a'], ...DEFAULTS });
  });

  it('takes its own times, in milliseconds', () => {
    const own = { Interval: 1e9, Timeout: 5e8, StartPeriod: 2e9, StartInterval: 1e6, Retries: 1 };
    expect(checkOf({ Test: ['CMD', 'a'], ...own }, null)).toEqual({
      command: ['a'],
      intervalMs: 1000,
      timeoutMs: 500,
      startPeriodMs: 2000,
      startIntervalMs: 1,
      retries: 1,
    });
  });

  it('is run by the shell of the container', () => {
    const config = { Test: ['CMD-SHELL', 'exit 1'] };
    expect(checkOf(config, null)?.command).toEqual(['/bin/sh', '-c', 'exit 1']);
    expect(checkOf(config, [])?.command).toEqual(['/bin/sh', '-c', 'exit 1']);
    expect(checkOf(config, ['/bin/bash', '-ec'])?.command).toEqual(['/bin/bash', '-ec', 'exit 1']);
  });

  it.each([[null], [{}], [{ Test: [] }], [{ Test: ['NONE'] }], [{ Test: ['CMD'] }], [{ Test: ['OTHER', 'a'] }]])(
    'is none in %j',
    (config) => {
      expect(checkOf(config, null)).toBeNull();
    },
  );
});

describe('the output of a probe', () => {
  it('is kept up to 4096 bytes', () => {
    const output = new ProbeOutput();
    for (let chunk = 0; chunk < 5; chunk++) output.write(Buffer.alloc(1000, 'a'));
    expect(output.toString()).toBe(`${'a'.repeat(4096)}...`);
  });

  it('is whole when it just fits', () => {
    const output = new ProbeOutput();
    output.write(Buffer.alloc(4096, 'a'));
    expect(output.toString()).toBe('a'.repeat(4096));
    output.write(Buffer.alloc(1));
    expect(output.toString()).toBe(`${'a'.repeat(4096)}...`);
  });
});
