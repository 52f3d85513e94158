import type { Database } from './database.ts';

/** One row of table `schedule`. The documents are the schedules room's. */
export interface ScheduleRow {
  /** `prune`, `container:<id>`, or `dbus:<name>`. */
  readonly key: string;
  /** What it is; null for what follows from elsewhere (configuration, labels). */
  readonly doc: string | null;
  /** How far it has come. */
  readonly state: string;
}

/** Table `schedule`. */
export interface ScheduleRows {
  all(): readonly ScheduleRow[];
  put(row: ScheduleRow): void;
  delete(key: string): void;
}

/** The repository of schedules in the state file. */
export function createScheduleRows(db: Database): ScheduleRows {
  return {
    all: () =>
      db.all('SELECT key, doc, state FROM schedule ORDER BY key').map((row) => ({
        key: row['key'] as string,
        doc: row['doc'] as string | null,
        state: row['state'] as string,
      })),
    put: ({ key, doc, state }) => {
      db.run('INSERT OR REPLACE INTO schedule (key, doc, state) VALUES (?, ?, ?)', key, doc, state);
    },
    delete: (key) => {
      db.run('DELETE FROM schedule WHERE key = ?', key);
    },
  };
}
