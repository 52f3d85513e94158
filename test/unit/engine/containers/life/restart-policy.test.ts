import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  restartDelayMs,
  startsWithDaemon,
  type EndedRun,
} from '../../../../../src/engine/containers/life/restart-policy.ts';
import type { RestartPolicy } from '../../../../../src/engine/containers/spec-types.ts';

const named = (name: RestartPolicy['name'], maximumRetryCount = 0): RestartPolicy => ({ name, maximumRetryCount });
const RUN: EndedRun = {
  exitCode: 1,
  ranMs: 5,
  restartCount: 0,
  previousDelayMs: 0,
  desired: 'running',
  endsForGood: false,
};

describe('the pause before a restart', () => {
  it('doubles from 100 ms to a minute', () => {
    const delays: number[] = [];
    for (let previousDelayMs = 0; delays.length < 12;) {
      previousDelayMs = restartDelayMs(named('always'), { ...RUN, previousDelayMs }) ?? NaN;
      delays.push(previousDelayMs);
    }
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  });

  it('is the first one again after a healthy run', () => {
    expect(restartDelayMs(named('always'), { ...RUN, previousDelayMs: 6400, ranMs: 9_999 })).toBe(12_800);
    expect(restartDelayMs(named('always'), { ...RUN, previousDelayMs: 6400, ranMs: 10_001 })).toBe(100);
  });

  it('never leaves its bounds', () => {
    fc.assert(
      fc.property(fc.nat(60_000), fc.nat(100_000), (previousDelayMs, ranMs) => {
        const delay = restartDelayMs(named('always'), { ...RUN, previousDelayMs, ranMs });
        expect(delay).toBeGreaterThan(0);
        expect(delay).toBeLessThanOrEqual(60_000);
      }),
    );
  });

  it.each([
    ['no', 1, false],
    ['no', 0, false],
    ['always', 0, true],
    ['unless-stopped', 0, true],
    ['on-failure', 0, false],
    ['on-failure', 1, true],
  ] as const)('with %s after exit code %i: %s', (name, exitCode, restarts) => {
    expect(restartDelayMs(named(name), { ...RUN, exitCode }) !== null).toBe(restarts);
    expect(restartDelayMs(named(name), { ...RUN, exitCode, endsForGood: true })).toBeNull();
  });

  it('ends with the retries of on-failure', () => {
    const policy = named('on-failure', 3);
    expect(restartDelayMs(policy, { ...RUN, restartCount: 2 })).not.toBeNull();
    expect(restartDelayMs(policy, { ...RUN, restartCount: 3 })).toBeNull();
    expect(restartDelayMs(named('on-failure'), { ...RUN, restartCount: 1000 })).not.toBeNull();
  });
});

describe('when the daemon comes up', () => {
  const ended = { exitCode: 1, restartCount: 0, desired: 'running', hasStarted: true } as const;

  it.each([
    ['no', 'running', false],
    ['always', 'running', true],
    ['always', 'stopped', true],
    ['unless-stopped', 'running', true],
    ['unless-stopped', 'stopped', false],
    ['on-failure', 'running', true],
    ['on-failure', 'stopped', false],
  ] as const)('%s that was to be %s starts: %s', (name, desired, starts) => {
    expect(startsWithDaemon(named(name), { ...ended, desired })).toBe(starts);
    expect(startsWithDaemon(named(name), { ...ended, desired, hasStarted: false })).toBe(false);
  });

  it('on-failure looks at how it ended and how often', () => {
    expect(startsWithDaemon(named('on-failure'), { ...ended, exitCode: 0 })).toBe(false);
    expect(startsWithDaemon(named('on-failure', 2), { ...ended, restartCount: 2 })).toBe(false);
  });
});
