import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { createEventBus } from '../../../../src/engine/events/event-bus.ts';
import { HISTORY_LENGTH, memoryEventStore } from '../../../../src/engine/events/history.ts';
import type { EngineEvent, Events } from '../../../../src/engine/events/types.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { EventRepository } from '../../../../src/engine/state/events.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const event = (action: string): Omit<EngineEvent, 'time'> => ({
  type: 'container',
  action,
  actorId: 'x',
  attributes: {},
});
const all = (): boolean => true;

describe('event bus', () => {
  it('gives history from `since`, then live events, until `until`', async () => {
    const clock = new FakeClock();
    const bus = createEventBus(clock);
    bus.publish(event('old'));
    await clock.advance(1000);
    const since = clock.now();
    bus.publish(event('past'));
    const until = (clock.now() + 5_000_000_000n) as Timestamp;
    const stream = bus.subscribe({ since, until, matches: all, signal: new AbortController().signal });
    bus.publish(event('live'));
    await clock.advance(5001);
    bus.publish(event('late'));
    expect((await Array.fromAsync(stream)).map(({ action }) => action)).toEqual(['past', 'live']);
    expect(bus.followerCount).toBe(0);
  });

  it('tells everybody, and harms nobody who tells, when a listener cannot deal with an event', () => {
    const warnings: string[] = [];
    const bus = createEventBus(new FakeClock(), { logger: { warn: (text) => void warnings.push(text) } });
    const heard: string[] = [];
    bus.listen(() => {
      throw new Error('no space left on device');
    });
    bus.listen(({ action }) => heard.push(action));
    bus.publish(event('die'));
    expect([heard, warnings]).toEqual([['die'], ['an event could not be dealt with']]);
  });

  it('ends at once when `until` is in the past', async () => {
    const clock = new FakeClock();
    const bus = createEventBus(clock);
    bus.publish(event('one'));
    await clock.advance(10);
    const stream = bus.subscribe({
      since: 0n as Timestamp,
      until: clock.now(),
      matches: all,
      signal: new AbortController().signal,
    });
    expect((await Array.fromAsync(stream)).map(({ action }) => action)).toEqual(['one']);
  });

  it('filters, counts followers and lets them go', async () => {
    const bus = createEventBus(new FakeClock());
    const abort = new AbortController();
    const stream = bus.subscribe({
      since: null,
      until: null,
      matches: ({ action }) => action === 'die',
      signal: abort.signal,
    });
    expect(bus.followerCount).toBe(1);
    bus.publish(event('start'));
    bus.publish(event('die'));
    abort.abort();
    expect((await Array.fromAsync(stream)).map(({ action }) => action)).toEqual(['die']);
    expect(bus.followerCount).toBe(0);
  });

  it('keeps so many, over restarts, in order, and tells what is not written yet', async () => {
    const clock = new FakeClock();
    using database = Database.open(':memory:');
    const options = { store: new EventRepository(database) };
    const past = async (bus: Events): Promise<readonly string[]> => {
      await clock.advance(1);
      const signal = new AbortController().signal;
      const stream = bus.subscribe({ since: 0n as Timestamp, until: clock.now(), matches: all, signal });
      const reading = Array.fromAsync(stream);
      const ended = new AbortController();
      void reading.finally(() => ended.abort());
      while (!ended.signal.aborted) await clock.advance(1);
      return (await reading).map(({ action }) => action);
    };
    const first = createEventBus(clock, options);
    for (let i = 0; i < 450; i += 1) first.publish(event(String(i)));
    // Some are written, some are not: the reader sees no seam.
    await clock.advance(200);
    first.publish(event('450'));
    expect(await past(first)).toEqual(Array.from({ length: 451 }, (_, i) => String(i)));
    first[Symbol.dispose]();
    const second = createEventBus(clock, options);
    second.publish(event('451'));
    expect(await past(second)).toEqual(Array.from({ length: 452 }, (_, i) => String(i)));
    for (let i = 452; i < HISTORY_LENGTH + 10; i += 1) second.publish(event(String(i)));
    second[Symbol.dispose]();
    const kept = await past(createEventBus(clock, options));
    expect([kept.length, kept[0]]).toEqual([HISTORY_LENGTH, '10']);
  });

  it('neither misses nor repeats what is written while somebody reads', async () => {
    const clock = new FakeClock();
    const bus = createEventBus(clock);
    for (let i = 0; i < 5; i += 1) bus.publish(event(String(i)));
    const until = (clock.now() + 5_000_000_000n) as Timestamp;
    const stream = bus.subscribe({ since: 0n as Timestamp, until, matches: all, signal: new AbortController().signal });
    const seen: string[] = [];
    for await (const { action } of stream) {
      seen.push(action);
      if (action === '1') await clock.advance(300);
      if (action === '2') bus.publish(event('live'));
      if (action === 'live') await clock.advance(5000);
    }
    expect(seen).toEqual(['0', '1', '2', '3', '4', 'live']);
  });

  it('tries a store again that could not be written', async () => {
    const clock = new FakeClock();
    const store = memoryEventStore();
    let full = true;
    const warnings: string[] = [];
    const bus = createEventBus(clock, {
      store: {
        lastNumber: 0,
        append: (events) => {
          if (full) throw new Error('disk full');
          store.append(events);
        },
        page: (range, limit) => store.page(range, limit),
        forget: (number) => store.forget(number),
      },
      logger: { warn: (message) => warnings.push(message) },
    });
    bus.publish(event('a'));
    await clock.advance(11_000);
    full = false;
    await clock.advance(5000);
    expect(warnings).toEqual(['events could not be written down']);
    expect(store.page({ after: 0, upTo: 9, since: 0n as Timestamp }, 9).map(({ number }) => number)).toEqual([1]);
  });

  it('tells when what was published is written, and lets nobody wait for a store that cannot be', async () => {
    const clock = new FakeClock();
    const memory = memoryEventStore();
    let isFull = false;
    const store = {
      ...memory,
      lastNumber: 0,
      append: (events: Parameters<typeof memory.append>[0]): void => {
        if (isFull) throw new Error('no space left on device');
        memory.append(events);
      },
    };
    const told: string[] = [];
    using bus = createEventBus(clock, { store });
    await bus.written();
    bus.publish(event('one'));
    void bus.written().then(() => told.push('one'));
    await clock.advance(100);
    expect(told).toEqual([]);
    await clock.advance(100);
    expect(told).toEqual(['one']);
    isFull = true;
    bus.publish(event('two'));
    void bus.written().then(() => told.push('two'));
    await clock.advance(200);
    expect(told).toEqual(['one', 'two']);
    bus.publish(event('three'));
    await bus.written();
    isFull = false;
    await clock.advance(5000);
    bus.publish(event('four'));
    void bus.written().then(() => told.push('four'));
    expect(told).toEqual(['one', 'two']);
    await clock.advance(200);
    expect(told).toEqual(['one', 'two', 'four']);
  });

  it('cuts a follower that falls behind, with an error', async () => {
    const bus = createEventBus(new FakeClock());
    const { signal } = new AbortController();
    const stream = bus.subscribe({ since: null, until: null, matches: all, signal });
    for (let i = 0; i <= 10_000; i += 1) bus.publish(event(String(i)));
    await expect(Array.fromAsync(stream)).rejects.toThrow('consumer fell more than 10000 items behind');
    expect(bus.followerCount).toBe(0);
  });

  it('tells listeners synchronously until they are disposed', () => {
    const bus = createEventBus(new FakeClock());
    const seen: string[] = [];
    const listening = bus.listen(({ action }) => seen.push(action));
    bus.publish(event('a'));
    listening[Symbol.dispose]();
    bus.publish(event('b'));
    expect(seen).toEqual(['a']);
  });
});
