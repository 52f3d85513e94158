import { describe, expect, it, vi } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { ReadableLogDriver } from '../../../../src/engine/logging/driver.ts';
import { LogRotation } from '../../../../src/engine/logging/rotation.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const log = { containerId: 'c' as ContainerId, path: '/log' };

function driverThat(rotate: ReadableLogDriver['rotate']): ReadableLogDriver {
  return {
    name: 'test',
    validate: () => undefined,
    open: () => log,
    canRead: () => true,
    warnings: () => [],
    read: () => (async function* () {})(),
    rotate,
  };
}

describe('keeping logs within their bounds', () => {
  it('looks often while logs rotate, seldom when they do not, never when nothing runs', async () => {
    const clock = new FakeClock();
    using rotation = new LogRotation(clock, silentLogger);
    let looks = 0;
    let isTooBig = true;
    const driver = driverThat(async (_log, _options, reopen) => {
      looks += 1;
      if (isTooBig) await reopen();
    });
    const reopen = vi.fn(() => Promise.resolve());
    const kept = rotation.keep({ log, driver, options: {}, reopen });
    await clock.advance(250);
    await expect.poll(() => looks).toBe(1);
    // A flood: sooner, and sooner again.
    await clock.advance(63);
    await expect.poll(() => looks).toBe(2);
    await clock.advance(50);
    await expect.poll(() => looks).toBe(3);
    expect(reopen).toHaveBeenCalledTimes(3);
    isTooBig = false;
    await clock.advance(50);
    await expect.poll(() => looks).toBe(4);
    await clock.advance(50);
    expect(looks).toBe(4);
    await clock.advance(50);
    await expect.poll(() => looks).toBe(5);
    expect(reopen).toHaveBeenCalledTimes(3);
    kept[Symbol.dispose]();
    await clock.advance(60_000);
    expect(looks).toBe(5);
    expect(clock.pendingCount).toBe(0);
  });

  it('lets go of a log whose files it moves when it has moved them, and does not begin with one that has gone', async () => {
    const clock = new FakeClock();
    using rotation = new LogRotation(clock, silentLogger);
    const { promise: moved, resolve: move } = Promise.withResolvers<void>();
    const begun: string[] = [];
    const driver = driverThat(async ({ path }) => {
      begun.push(path);
      await moved;
    });
    const other = { ...log, path: '/other' };
    const keep = (of: typeof log): Disposable =>
      rotation.keep({ log: of, driver, options: {}, reopen: async () => undefined });
    const [kept, keptOther] = [keep(log), keep(other)];
    await clock.advance(250);
    expect(begun).toEqual(['/log']);
    kept[Symbol.dispose]();
    keptOther[Symbol.dispose]();
    await rotation.letGo('/other');
    const steps: string[] = [];
    const gone = rotation.letGo('/log').then(() => steps.push('gone'));
    await settle();
    steps.push('moved');
    move();
    await gone;
    expect(steps).toEqual(['moved', 'gone']);
    await settle();
    expect(begun).toEqual(['/log']);
  });

  it('looks at a new log soon, however quiet the others are', async () => {
    const clock = new FakeClock();
    using rotation = new LogRotation(clock, silentLogger);
    const quiet = vi.fn(() => Promise.resolve());
    const fresh = vi.fn(() => Promise.resolve());
    const keep = (rotate: ReadableLogDriver['rotate']): Disposable =>
      rotation.keep({ log, driver: driverThat(rotate), options: {}, reopen: () => Promise.resolve() });
    keep(quiet);
    // Until the pause is at its longest.
    for (const pause of [250, 500, 1000, 2000, 4000, 8000]) {
      const looks = quiet.mock.calls.length;
      await clock.advance(pause);
      await expect.poll(() => quiet.mock.calls.length).toBe(looks + 1);
    }
    keep(fresh);
    await clock.advance(250);
    await expect.poll(() => fresh.mock.calls.length).toBe(1);
  });

  it('goes on with the others when one log cannot be moved', async () => {
    const clock = new FakeClock();
    const warn = vi.fn();
    using rotation = new LogRotation(clock, { ...silentLogger, warn });
    const other = vi.fn(() => Promise.resolve());
    const failing = driverThat(() => Promise.reject(new Error('no space left on device')));
    rotation.keep({ log, driver: failing, options: {}, reopen: () => Promise.resolve() });
    rotation.keep({ log, driver: driverThat(other), options: {}, reopen: () => Promise.resolve() });
    await clock.advance(250);
    await expect.poll(() => other.mock.calls.length).toBe(1);
    expect(warn).toHaveBeenCalledWith(expect.any(String), { path: '/log', reason: 'no space left on device' });
  });
});
