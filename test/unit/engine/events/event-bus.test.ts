import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { createEventBus } from '../../../../src/engine/events/event-bus.ts';
import type { EngineEvent } from '../../../../src/engine/events/types.ts';
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

  it('keeps the last 256', async () => {
    const clock = new FakeClock();
    const bus = createEventBus(clock);
    for (let i = 0; i < 300; i += 1) bus.publish(event(String(i)));
    await clock.advance(1);
    const past = await Array.fromAsync(
      bus.subscribe({ since: 0n as Timestamp, until: clock.now(), matches: all, signal: new AbortController().signal }),
    );
    expect(past).toHaveLength(256);
    expect(past[0]?.action).toBe('44');
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
