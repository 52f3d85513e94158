import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { BoundedQueue } from '../../../src/base/bounded-queue.ts';
import {
  formatTimestamp,
  formatTimestampFixed,
  parseTimestamp,
  secondsOf,
  SystemClock,
  type Timestamp,
} from '../../../src/base/clock.ts';
import { InternalError } from '../../../src/base/errors.ts';
import { newId, shortId, type ContainerId } from '../../../src/base/ids.ts';
import { KeyedLock } from '../../../src/base/keyed-lock.ts';
import { Mailbox } from '../../../src/base/mailbox.ts';
import { Undo } from '../../../src/base/undo.ts';
import { settle } from '../../support/fake-clock.ts';

describe('time', () => {
  const anyTime = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n });

  it('reads back what it prints, to the nanosecond', () => {
    fc.assert(
      fc.property(anyTime, (time) => {
        expect(parseTimestamp(formatTimestamp(time as Timestamp))).toBe(time);
        expect(parseTimestamp(formatTimestampFixed(time as Timestamp))).toBe(time);
      }),
    );
  });

  it('drops trailing zeros as Go does, and keeps nine digits for logs', () => {
    const time = 1_700_000_000_120_000_000n as Timestamp;
    expect(formatTimestamp(time)).toBe('2023-11-14T22:13:20.12Z');
    expect(formatTimestampFixed(time)).toBe('2023-11-14T22:13:20.120000000Z');
    expect(formatTimestamp(1_700_000_000_000_000_000n as Timestamp)).toBe('2023-11-14T22:13:20Z');
    expect(secondsOf(time)).toBe(1_700_000_000);
  });

  it('understands offsets and refuses what is no time', () => {
    expect(parseTimestamp('2023-11-15T00:13:20+02:00')).toBe(1_700_000_000_000_000_000n);
    expect(parseTimestamp('yesterday')).toBeNull();
    expect(parseTimestamp('2023-13-45T00:00:00Z')).toBeNull();
  });

  it('never goes backwards', () => {
    const clock = new SystemClock();
    let last = clock.now();
    for (let i = 0; i < 1000; i += 1) {
      const now = clock.now();
      expect(now > last).toBe(true);
      last = now;
    }
  });

  it('keeps to delays that are longer than one timer of Node', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const clock = new SystemClock();
      const called: string[] = [];
      clock.after(Infinity, () => called.push('never'));
      using _cancelled = clock.after(2 ** 33, () => called.push('later'));
      clock.after(2 ** 32, () => called.push('in 49 days'));
      vi.advanceTimersByTime(2 ** 32 - 1);
      expect(called).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(called).toEqual(['in 49 days']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('rejects a sleep when its signal is aborted', async () => {
    const abort = new AbortController();
    const sleeping = new SystemClock().sleep(60_000, abort.signal);
    abort.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
  });
});

describe('ids', () => {
  it('are 64 hex digits whose short form is no number', () => {
    for (let i = 0; i < 200; i += 1) {
      const id = newId<ContainerId>();
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(shortId(id)).toMatch(/[a-f]/);
    }
    expect(shortId(`sha256:${'ab'.repeat(32)}`)).toBe('abababababab');
  });
});

describe('Mailbox', () => {
  it('runs jobs in order, one at a time, and a failure hurts only its own', async () => {
    const box = new Mailbox();
    const seen: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    const first = box.run(async () => {
      await gate.promise;
      seen.push('first');
    });
    const second = box.run(() => {
      throw new Error('second');
    });
    const third = box.run(() => seen.push('third'));
    await settle();
    expect(seen).toEqual([]);
    gate.resolve(undefined);
    await first;
    await expect(second).rejects.toThrow('second');
    await third;
    expect(seen).toEqual(['first', 'third']);
  });
});

describe('KeyedLock', () => {
  it('serialises one key and lets others pass', async () => {
    const lock = new KeyedLock<string>();
    const gate = Promise.withResolvers<undefined>();
    const seen: string[] = [];
    const a1 = lock.hold('a', async () => {
      await gate.promise;
      seen.push('a1');
    });
    const a2 = lock.hold('a', async () => {
      seen.push('a2');
    });
    await lock.hold('b', async () => {
      seen.push('b');
    });
    expect(seen).toEqual(['b']);
    gate.resolve(undefined);
    await Promise.all([a1, a2]);
    expect(seen).toEqual(['b', 'a1', 'a2']);
  });

  it('is free again after a failure', async () => {
    const lock = new KeyedLock<string>();
    await expect(lock.hold('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(lock.hold('a', async () => 'yes')).resolves.toBe('yes');
  });
});

describe('Undo', () => {
  it('undoes in reverse and keeps the first error, with the cleanup failures added', async () => {
    const seen: number[] = [];
    const error = new InternalError('first');
    const guarded = Undo.guard(async (undo) => {
      undo.defer(() => void seen.push(1));
      undo.defer(() => {
        throw new Error('cleanup');
      });
      undo.defer(() => void seen.push(3));
      throw error;
    });
    await expect(guarded).rejects.toBe(error);
    expect(seen).toEqual([3, 1]);
    expect(error.cleanupFailures).toHaveLength(1);
  });

  it('keeps everything on success', async () => {
    const seen: number[] = [];
    await Undo.guard(async (undo) => {
      undo.defer(() => void seen.push(1));
    });
    expect(seen).toEqual([]);
  });
});

describe('BoundedQueue', () => {
  it('delivers in order, then ends', async () => {
    const queue = new BoundedQueue<number>(10);
    queue.push(1);
    queue.push(2);
    queue.close();
    expect(await Array.fromAsync(queue)).toEqual([1, 2]);
    expect(queue.push(3)).toBe(false);
  });

  it('ends with an error instead of losing items silently', async () => {
    const queue = new BoundedQueue<number>(2);
    expect([queue.push(1), queue.push(2), queue.push(3)]).toEqual([true, true, false]);
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of queue) seen.push(item);
      })(),
    ).rejects.toThrow('fell more than 2 items behind');
    expect(seen).toEqual([1, 2]);
  });
});
