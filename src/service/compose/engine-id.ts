import { randomUUID } from 'node:crypto';
import type { Database } from '../../engine/state/database.ts';

const ENGINE_ID_KEY = 'engine-id';

/** Stays the same for the life of the data root. */
export function engineId(database: Database): string {
  database.run('INSERT OR IGNORE INTO fact VALUES (?, ?)', ENGINE_ID_KEY, randomUUID());
  return database.get('SELECT value FROM fact WHERE key = ?', ENGINE_ID_KEY)?.['value'] as string;
}
