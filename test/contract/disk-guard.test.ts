import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DiskGuard, withRoomOnDisk } from '../../src/engine/storage/disk-guard.ts';
import { FakeClock } from '../support/fake-clock.ts';

const { signal } = new AbortController();
const NO_SPACE = 'no space left on device';

describe('a disk that fills', () => {
  const root = mkdtempSync(join(tmpdir(), 'moored-disk-guard-'));
  const large = join(root, 'large');
  const fill = (): void => writeFileSync(large, Buffer.alloc(1024 * 1024));
  beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root]));
  afterEach(() => rmSync(large, { force: true }));
  afterAll(() => {
    execFileSync('umount', [root]);
    rmSync(root, { recursive: true });
  });

  it('takes no more of who counts what it writes', () => {
    const guard = new DiskGuard(root);
    guard.take(100 * 1024 * 1024);
    fill();
    guard.take(1024);
    expect(() => guard.take(100 * 1024 * 1024)).toThrow(NO_SPACE);
  });

  it('lets a job alone while there is room, and looks no longer than it takes', async () => {
    const clock = new FakeClock();
    const { promise, resolve } = Promise.withResolvers<string>();
    const done = withRoomOnDisk({ root, clock, signal }, async (bounded) => {
      const made = await promise;
      bounded.throwIfAborted();
      return made;
    });
    await clock.advance(10_000);
    expect(clock.pendingCount).toBe(1);
    resolve('done');
    expect(await done).toBe('done');
    expect(clock.pendingCount).toBe(0);
  });

  it('ends a job that others write for, whatever it says then', async () => {
    const clock = new FakeClock();
    const job = async (bounded: AbortSignal): Promise<never> => {
      const { promise, reject } = Promise.withResolvers<never>();
      bounded.addEventListener('abort', () => reject(new Error('git was killed')));
      return promise;
    };
    const running = withRoomOnDisk({ root, clock, signal }, job);
    running.catch(() => undefined);
    await clock.advance(1000);
    fill();
    await clock.advance(1000);
    await expect(running).rejects.toThrow(NO_SPACE);
    await expect(withRoomOnDisk({ root, clock, signal }, async () => 'begun')).rejects.toThrow(NO_SPACE);
    expect(clock.pendingCount).toBe(0);
  });

  it('leaves failures and aborts as they are', async () => {
    const clock = new FakeClock();
    const failing = withRoomOnDisk({ root, clock, signal }, async () => Promise.reject(new Error('its own')));
    await expect(failing).rejects.toThrow('its own');
    const gone = AbortSignal.abort(new Error('gone'));
    const aborted = withRoomOnDisk({ root, clock, signal: gone }, async (bounded) => bounded.throwIfAborted());
    await expect(aborted).rejects.toThrow('gone');
    expect(clock.pendingCount).toBe(0);
  });
});
