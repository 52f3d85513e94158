import type { Database } from '../state/database.ts';

/** Key in table `fact`. */
const MOVED_TO = 'storage-moved-to';

/** The driver that everything was last moved to; null when nothing ever was. */
export function movedTo(database: Database): string | null {
  return (database.get('SELECT value FROM fact WHERE key = ?', MOVED_TO)?.['value'] as string | undefined) ?? null;
}

/** Notes it. */
export function noteMovedTo(database: Database, driver: string): void {
  database.run(
    'INSERT INTO fact VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    MOVED_TO,
    driver,
  );
}
