/**
 * What happened, for those who ask later, across restarts of the engine.
 *
 * An event is given a number and kept in memory; a moment later a batch goes into the store in one transaction, so that
 * publishing costs the hot path nothing. A killed daemon loses at most that moment; a store that cannot be written (a
 * full disk) is tried again, while memory holds what it did not take. The oldest go when there are too many.
 */
import type { Clock, Timestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { EngineEvent } from './types.ts';

/**
 * How many are kept. Docker's 256 are gone in a minute where health checks run; these are about a day of twenty
 * containers with one every half minute, and some 5 MB of the state file.
 */
export const HISTORY_LENGTH = 20_000;
/** What a killed daemon can lose. */
const WRITE_DELAY_MS = 200;
/** Rows of one transaction: under 2 ms. */
const BATCH_LENGTH = 100;
/** Pause before a store that failed is tried again. */
const RETRY_MS = 5000;
/** Rows read in one go: under 2 ms. */
const PAGE_LENGTH = 200;

/** An event as the store keeps it. */
export interface StoredEvent {
  /** Counts up over all restarts. */
  readonly number: number;
  readonly time: Timestamp;
  /** JSON of type, action, actor and attributes. */
  readonly document: string;
}

/** Where events are kept; the state file, or memory. */
export interface EventStore {
  /** The highest number that was given; 0 when there is none. */
  readonly lastNumber: number;
  /** All or none. */
  append(events: readonly StoredEvent[]): void;
  /** Events numbered after `after` and up to `upTo`, not older than `since`, in order. */
  page(range: EventRange, limit: number): readonly StoredEvent[];
  /** Forgets those numbered up to `number`. */
  forget(number: number): void;
}

export interface EventRange {
  readonly after: number;
  readonly upTo: number;
  readonly since: Timestamp;
}

interface Numbered {
  readonly number: number;
  readonly event: EngineEvent;
}

export class History implements Disposable {
  readonly #store: EventStore;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'warn'>;
  /** Not in the store yet, oldest first. */
  readonly #pending: Numbered[] = [];
  /** Who waits until all up to an event's number is in the store, in that order. */
  readonly #waiting: { readonly number: number; readonly resolve: () => void }[] = [];
  #last: number;
  #timer: Disposable | null = null;
  #failing = false;

  constructor(store: EventStore, clock: Clock, logger: Pick<Logger, 'warn'>) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#last = store.lastNumber;
  }

  add(event: EngineEvent): void {
    this.#last += 1;
    this.#pending.push({ number: this.#last, event });
    if (this.#pending.length > HISTORY_LENGTH) this.#pending.shift();
    this.#timer ??= this.#clock.after(WRITE_DELAY_MS, () => this.#write());
  }

  /** See {@link Events.written}. */
  written(): Promise<void> {
    if (this.#pending.length === 0 || this.#failing) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ number: this.#last, resolve });
    return promise;
  }

  /** What happened from `since` until this call, page by page; what comes meanwhile is not in it. */
  since(since: Timestamp): AsyncIterable<EngineEvent> {
    return this.#read(since, this.#last);
  }

  /** Writes what is pending; nothing is written after it. */
  [Symbol.dispose](): void {
    while (this.#pending.length > 0 && this.#writeBatch()) continue;
    this.#timer?.[Symbol.dispose]();
    // Never null again: no further write is planned.
    this.#timer ??= { [Symbol.dispose]: () => undefined };
  }

  async *#read(since: Timestamp, upTo: number): AsyncGenerator<EngineEvent> {
    let after = 0;
    for (;;) {
      const page = this.#store.page({ after, upTo, since }, PAGE_LENGTH);
      // In one go with the page: what is written while the reader waits would be missed, or told twice.
      const pending = page.length < PAGE_LENGTH ? this.#pendingUpTo(upTo, since) : null;
      for (const stored of page) yield eventOf(stored);
      if (pending !== null) {
        yield* pending;
        return;
      }
      after = page.at(-1)?.number ?? after;
      // Others have their turn.
      await this.#clock.sleep(0);
    }
  }

  #pendingUpTo(upTo: number, since: Timestamp): readonly EngineEvent[] {
    return this.#pending.filter(({ number, event }) => number <= upTo && event.time >= since).map(({ event }) => event);
  }

  #write(): void {
    const isDone = this.#writeBatch();
    const delayMs = isDone ? 0 : RETRY_MS;
    this.#timer = this.#pending.length === 0 ? null : this.#clock.after(delayMs, () => this.#write());
  }

  #writeBatch(): boolean {
    const batch = this.#pending.slice(0, BATCH_LENGTH);
    try {
      this.#store.append(batch.map(storedOf));
      this.#store.forget((batch.at(-1)?.number ?? 0) - HISTORY_LENGTH);
    } catch (error) {
      if (!this.#failing) this.#logger.warn('events could not be written down', { reason: messageOf(error) });
      this.#failing = true;
      this.#tellWritten(this.#last);
      return false;
    }
    this.#failing = false;
    this.#pending.splice(0, batch.length);
    this.#tellWritten(batch.at(-1)?.number ?? 0);
    return true;
  }

  #tellWritten(upTo: number): void {
    while ((this.#waiting[0]?.number ?? Infinity) <= upTo) this.#waiting.shift()?.resolve();
  }
}

/** A store that ends with the process. */
export function memoryEventStore(): EventStore {
  let events: readonly StoredEvent[] = [];
  let lastNumber = 0;
  return {
    get lastNumber() {
      return lastNumber;
    },
    append(added) {
      events = [...events, ...added];
      lastNumber = added.at(-1)?.number ?? lastNumber;
    },
    page: ({ after, upTo, since }, limit) =>
      events.filter(({ number, time }) => number > after && number <= upTo && time >= since).slice(0, limit),
    forget(number) {
      events = events.filter((event) => event.number > number);
    },
  };
}

function storedOf({ number, event: { time, ...rest } }: Numbered): StoredEvent {
  return { number, time, document: JSON.stringify(rest) };
}

function eventOf({ time, document }: StoredEvent): EngineEvent {
  return { ...(JSON.parse(document) as Omit<EngineEvent, 'time'>), time };
}
