import { BoundedQueue } from '../../base/bounded-queue.ts';
import type { Clock } from '../../base/clock.ts';
import type { EngineEvent, Events } from './types.ts';

/** How many events a late follower can still ask for; Docker keeps as many. */
const HISTORY_LENGTH = 256;
/** How far a follower may fall behind before its stream ends with an error: some minutes of a busy host. */
const FOLLOWER_QUEUE_LENGTH = 10_000;

/** The event bus with its history in memory. */
export function createEventBus(clock: Clock): Events {
  const history: EngineEvent[] = [];
  const listeners = new Set<(event: EngineEvent) => void>();
  let followers = 0;

  return {
    publish(event) {
      const stamped: EngineEvent = { ...event, time: clock.now() };
      history.push(stamped);
      if (history.length > HISTORY_LENGTH) history.shift();
      for (const listener of [...listeners]) listener(stamped);
    },
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    subscribe({ since, until, matches, signal }) {
      const queue = new BoundedQueue<EngineEvent>(FOLLOWER_QUEUE_LENGTH);
      const offer = (event: EngineEvent): void => {
        if (until !== null && event.time > until) return;
        if (matches(event)) queue.push(event);
      };
      if (since !== null) for (const event of history) if (event.time >= since) offer(event);
      const remainingMs = until === null ? null : Number((until - clock.now()) / 1_000_000n);
      if (remainingMs !== null && remainingMs <= 0) {
        queue.close();
        return queue;
      }
      listeners.add(offer);
      followers += 1;
      const timer = remainingMs === null ? null : clock.after(remainingMs, end);
      function end(): void {
        if (!listeners.delete(offer)) return;
        followers -= 1;
        timer?.[Symbol.dispose]();
        queue.close();
      }
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      return queue;
    },
    get followerCount() {
      return followers;
    },
  };
}
