import { describe, expect, it, vi } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { ReadableLogDriver } from '../../../../src/engine/logging/driver.ts';
import { LogRotation } from '../../../../src/engine/logging/rotation.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const log = { containerId: 'c' as ContainerId, path: '/log' };

function driverThat(rotate: ReadableLogDriver['rotate']): ReadableLogDriver {
  return { name: 'test', validate: () => undefined, open: () => log, read: () => (async function* () {})(), rotate };
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
    await clock.advance(1000);
    await expect.poll(() => looks).toBe(1);
    await clock.advance(1000);
    await expect.poll(() => looks).toBe(2);
    expect(reopen).toHaveBeenCalledTimes(2);
    isTooBig = false;
    await clock.advance(1000);
    await expect.poll(() => looks).toBe(3);
    await clock.advance(1000);
    expect(looks).toBe(3);
    await clock.advance(1000);
    await expect.poll(() => looks).toBe(4);
    kept[Symbol.dispose]();
    await clock.advance(60_000);
    expect(looks).toBe(4);
    expect(clock.pendingCount).toBe(0);
    expect(reopen).toHaveBeenCalledTimes(2);
  });

  it('goes on with the others when one log cannot be moved', async () => {
    const clock = new FakeClock();
    const warn = vi.fn();
    using rotation = new LogRotation(clock, { ...silentLogger, warn });
    const other = vi.fn(() => Promise.resolve());
    const failing = driverThat(() => Promise.reject(new Error('no space left on device')));
    rotation.keep({ log, driver: failing, options: {}, reopen: () => Promise.resolve() });
    rotation.keep({ log, driver: driverThat(other), options: {}, reopen: () => Promise.resolve() });
    await clock.advance(1000);
    await expect.poll(() => other.mock.calls.length).toBe(1);
    expect(warn).toHaveBeenCalledWith(expect.any(String), { path: '/log', reason: 'no space left on device' });
  });
});
