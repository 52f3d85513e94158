import { BoundedQueue } from '../../base/bounded-queue.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { silentLogger, type Logger } from '../../base/logger.ts';
import { History, memoryEventStore, type EventStore } from './history.ts';
import type { EngineEvent, Events } from './types.ts';

/** How far a follower may fall behind before its stream ends with an error: some minutes of a busy host. */
const FOLLOWER_QUEUE_LENGTH = 10_000;

/** Where the bus keeps what happened; without it, in memory. */
export interface EventBusOptions {
  readonly store?: EventStore;
  readonly logger?: Pick<Logger, 'warn'>;
}

/** The event bus with its history. Dispose it before its store: what is pending is written then. */
export function createEventBus(clock: Clock, options: EventBusOptions = {}): Events & Disposable {
  const logger = options.logger ?? silentLogger;
  const history = new History(options.store ?? memoryEventStore(), clock, logger);
  const listeners = new Set<(event: EngineEvent) => void>();
  let followers = 0;
  // What a listener cannot do, such as to write on a full disk, is no matter of who tells: a container ends all the same.
  const tell = (listener: (event: EngineEvent) => void, event: EngineEvent): void => {
    try {
      listener(event);
    } catch (error) {
      logger.warn('an event could not be dealt with', { event: event.action, reason: messageOf(error) });
    }
  };

  return {
    publish(event) {
      const stamped: EngineEvent = { ...event, time: clock.now() };
      history.add(stamped);
      for (const listener of [...listeners]) tell(listener, stamped);
    },
    written: () => history.written(),
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    subscribe({ since, until, matches, signal }) {
      const queue = new BoundedQueue<EngineEvent>(FOLLOWER_QUEUE_LENGTH);
      const isAsked = (event: EngineEvent): boolean => (until === null || event.time <= until) && matches(event);
      const offer = (event: EngineEvent): void => {
        if (isAsked(event)) queue.push(event);
      };
      const past = since === null ? null : history.since(since);
      const remainingMs = until === null ? null : Number((until - clock.now()) / 1_000_000n);
      if (remainingMs !== null && remainingMs <= 0) queue.close();
      else {
        listeners.add(offer);
        followers += 1;
      }
      const timer = remainingMs === null || remainingMs <= 0 ? null : clock.after(remainingMs, end);
      function end(): void {
        queue.close();
        timer?.[Symbol.dispose]();
        if (listeners.delete(offer)) followers -= 1;
      }
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      return follow({ past, queue, isAsked, signal, end });
    },
    get followerCount() {
      return followers;
    },
    [Symbol.dispose]: () => history[Symbol.dispose](),
  };
}

interface Following {
  readonly past: AsyncIterable<EngineEvent> | null;
  readonly queue: BoundedQueue<EngineEvent>;
  readonly isAsked: (event: EngineEvent) => boolean;
  readonly signal: AbortSignal;
  readonly end: () => void;
}

/** First what was, then what has come since it was asked for. */
async function* follow({ past, queue, isAsked, signal, end }: Following): AsyncGenerator<EngineEvent, void, void> {
  try {
    for await (const event of past ?? []) {
      if (signal.aborted) break;
      if (isAsked(event)) yield event;
    }
    yield* queue;
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}
