import type { Timestamp } from '../../base/clock.ts';
import type { Database } from './database.ts';

/** A row of table `event`. What is in the document is the events room's business. */
export interface EventRow {
  readonly number: number;
  readonly time: Timestamp;
  /** JSON. */
  readonly document: string;
}

/** What happened, in the state file. */
export class EventRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The highest number that was given; 0 when there is none. */
  get lastNumber(): number {
    return Number(this.#db.get('SELECT max(number) AS last FROM event')?.['last'] ?? 0);
  }

  /** In one transaction. */
  append(events: readonly EventRow[]): void {
    this.#db.transaction(() => {
      for (const { number, time, document } of events) {
        this.#db.run('INSERT INTO event (number, time, doc) VALUES (?, ?, ?)', number, time, document);
      }
    });
  }

  /** Rows numbered after `after` and up to `upTo`, not older than `since`, in order. */
  page(
    { after, upTo, since }: { readonly after: number; readonly upTo: number; readonly since: Timestamp },
    limit: number,
  ): readonly EventRow[] {
    return this.#db
      .all(
        'SELECT number, time, doc FROM event WHERE number > ? AND number <= ? AND time >= ? ORDER BY number LIMIT ?',
        after,
        upTo,
        since,
        limit,
      )
      .map((row) => ({
        number: Number(row['number']),
        time: row['time'] as Timestamp,
        document: row['doc'] as string,
      }));
  }

  /** Forgets those numbered up to `number`. */
  forget(number: number): void {
    this.#db.run('DELETE FROM event WHERE number <= ?', number);
  }
}
