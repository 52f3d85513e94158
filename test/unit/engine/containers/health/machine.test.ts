import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../../src/base/clock.ts';
import type { HealthCheck } from '../../../../../src/engine/containers/health/check.ts';
import { begun, pauseMs, probed, resumedPauseMs } from '../../../../../src/engine/containers/health/machine.ts';
import type { HealthView, ProbeResult } from '../../../../../src/engine/containers/types.ts';

const CHECK: HealthCheck = {
  command: ['check'],
  intervalMs: 30_000,
  timeoutMs: 30_000,
  startPeriodMs: 0,
  startIntervalMs: 5000,
  retries: 3,
};
const STARTED = atMs(0);

function atMs(ms: number): Timestamp {
  return (1_700_000_000_000_000_000n + BigInt(ms) * 1_000_000n) as Timestamp;
}

function result(exitCode: number, ms = 1000): ProbeResult {
  return { startedAt: atMs(ms), endedAt: atMs(ms + 10), exitCode, output: String(exitCode) };
}

/** Statuses after each of the results. */
function statuses(codes: readonly number[], check: HealthCheck = CHECK): readonly string[] {
  let health = begun(null);
  return codes.map((code, index) => {
    health = probed(health, result(code, (index + 1) * 1000), check, STARTED);
    return `${health.status} ${String(health.failingStreak)}`;
  });
}

describe('health', () => {
  it('is unhealthy after so many failures in a row', () => {
    expect(statuses([1, 1, 1, 1])).toEqual(['starting 1', 'starting 2', 'unhealthy 3', 'unhealthy 4']);
  });

  it('is healthy after one success, and stays so until the retries are used up', () => {
    expect(statuses([0, 1, 2, 0, -1, 1, 1])).toEqual([
      'healthy 0',
      'healthy 1',
      'healthy 2',
      'healthy 0',
      'healthy 1',
      'healthy 2',
      'unhealthy 3',
    ]);
  });

  it('forgives failures in the start period, but only until the first success', () => {
    const check = { ...CHECK, startPeriodMs: 3500, retries: 1 };
    expect(statuses([1, 1, 1, 1], check)).toEqual(['starting 0', 'starting 0', 'starting 0', 'unhealthy 1']);
    expect(statuses([1, 0, 1], check)).toEqual(['starting 0', 'healthy 0', 'unhealthy 1']);
  });

  it('keeps the last five results, also over a new start', () => {
    let health: HealthView = begun(null);
    for (let code = 1; code <= 7; code++) health = probed(health, result(code), CHECK, STARTED);
    expect(health.log.map(({ exitCode }) => exitCode)).toEqual([3, 4, 5, 6, 7]);
    expect(begun(health)).toEqual({ status: 'starting', failingStreak: 0, log: health.log });
  });

  it('is healthy exactly after a success, unhealthy only after a failure', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 5 }),
        (codes, retries) => {
          const last = statuses(codes, { ...CHECK, retries }).at(-1) ?? '';
          const failing = codes.length - 1 - codes.lastIndexOf(0);
          expect(last.endsWith(` ${String(failing)}`)).toBe(true);
          expect(last.startsWith('unhealthy')).toBe(failing >= retries);
        },
      ),
    );
  });
});

describe('the pause before a probe', () => {
  const check = { ...CHECK, startPeriodMs: 20_000 };

  it('is the start interval while the container comes up', () => {
    expect(pauseMs(check, begun(null), STARTED, atMs(0))).toBe(5000);
    expect(pauseMs(check, begun(null), STARTED, atMs(19_999))).toBe(5000);
    expect(pauseMs(check, begun(null), STARTED, atMs(20_000))).toBe(30_000);
    expect(pauseMs(check, { ...begun(null), status: 'healthy' }, STARTED, atMs(1))).toBe(30_000);
  });

  it('goes on in the same beat after the engine came up again', () => {
    const healthy: HealthView = { ...begun(null), status: 'healthy' };
    expect(resumedPauseMs(CHECK, healthy, STARTED, atMs(100_000))).toBe(20_000);
    fc.assert(
      fc.property(fc.nat(10_000_000), (ms) => {
        const pause = resumedPauseMs(CHECK, healthy, STARTED, atMs(ms));
        expect(pause).toBeGreaterThan(0);
        expect(pause).toBeLessThanOrEqual(30_000);
        expect((ms + pause) % 30_000).toBe(0);
      }),
    );
  });
});
