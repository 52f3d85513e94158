import { describe, expect, it } from 'vitest';
import { keepBus } from '../../../src/service/bus.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

const TWO_SECONDS = 2000;

describe('the bus in the life of the daemon', () => {
  const clock = new FakeClock();

  function front(): { readonly busyCount: number; isClosed: boolean } & AsyncDisposable {
    const made = {
      busyCount: 3,
      isClosed: false,
      async [Symbol.asyncDispose]() {
        made.isClosed = true;
      },
    };
    return made;
  }

  it('is there when the daemon goes on, and goes with it', async () => {
    const made = front();
    const bus = await keepBus({ open: async () => made, clock, logger: new RecordingLogger() });
    expect(bus.busyCount).toBe(3);
    await bus[Symbol.asyncDispose]();
    expect(made.isClosed).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });

  it('does not end the daemon when it cannot be made, and is made later', async () => {
    const logger = new RecordingLogger();
    const made = front();
    let attempts = 0;
    const open = async (): Promise<typeof made> => {
      attempts += 1;
      if (attempts < 3) throw new TypeError('x is not a function');
      return made;
    };
    const bus = await keepBus({ open, clock, logger });
    expect([attempts, bus.busyCount]).toEqual([1, 0]);
    await clock.advance(1000);
    expect(attempts).toBe(2);
    await clock.advance(1999);
    expect(attempts).toBe(2);
    await clock.advance(1);
    expect([attempts, bus.busyCount]).toEqual([3, 3]);
    expect(logger.messages('error')).toEqual([
      'the D-Bus interface could not be made; trying again in 1 s',
      'the D-Bus interface could not be made; trying again in 2 s',
    ]);
    expect(String(logger.lines[0]?.fields['error'])).toContain('bus.test.ts');
    await bus[Symbol.asyncDispose]();
    expect(made.isClosed).toBe(true);
  });

  it('does not try on when the daemon ends', async () => {
    const open = async (): Promise<never> => {
      throw new Error('no');
    };
    const bus = await keepBus({ open, clock, logger: new RecordingLogger() });
    await bus[Symbol.asyncDispose]();
    expect(clock.pendingCount).toBe(0);
  });

  it('keeps nobody waiting who hangs', async () => {
    const made = front();
    const { promise, resolve } = Promise.withResolvers<typeof made>();
    let isReady = false;
    const keeping = keepBus({ open: () => promise, clock, logger: new RecordingLogger() }).then((bus) => {
      isReady = true;
      return bus;
    });
    await clock.advance(TWO_SECONDS - 1);
    expect(isReady).toBe(false);
    await clock.advance(1);
    expect(isReady).toBe(true);
    const bus = await keeping;
    expect(bus.busyCount).toBe(0);
    resolve(made);
    await settle();
    expect(bus.busyCount).toBe(3);
    await bus[Symbol.asyncDispose]();
    expect(made.isClosed).toBe(true);
  });
});
