import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { DataLossError, messageOf, UnavailableError } from '../../base/errors.ts';
import { MIGRATIONS } from './schema.ts';

/** A row as SQLite gives it; INTEGER columns are bigint. */
export type Row = Readonly<Record<string, unknown>>;

/** How much may pile up in the write-ahead log before it is folded back, in pages of 4 KiB. */
const WAL_CHECKPOINT_PAGES = 1000;

/**
 * The state file. Statements are prepared once and kept. All calls are synchronous and short (tens of microseconds);
 * several changes belong together in one {@link Database.transaction}.
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens or creates the file (`:memory:` for tests) and brings its schema up to date.
   * UnavailableError when it comes from a newer engine; DataLossError when it is damaged. The file is left as it is in
   * both cases.
   */
  static open(path: string): Database {
    let db: DatabaseSync | null = null;
    try {
      db = new DatabaseSync(path);
      // Exclusive: a second engine on the same data root must not come up.
      db.exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;
        PRAGMA wal_autocheckpoint=${String(WAL_CHECKPOINT_PAGES)};`);
      checkIntegrity(db, path);
      migrate(db, path);
      return new Database(db);
    } catch (error) {
      db?.close();
      if (error instanceof UnavailableError || error instanceof DataLossError) throw error;
      if (messageOf(error).includes('database is locked')) {
        throw new UnavailableError(`state file ${path} is in use by another engine`, { cause: error });
      }
      throw new DataLossError(`state file ${path} cannot be read: ${messageOf(error)}; it was left untouched`, {
        cause: error,
      });
    }
  }

  /** Runs `job` in one transaction; nested calls join it. Rolled back when `job` throws. */
  transaction<T>(job: () => T): T {
    if (this.#depth > 0) return job();
    this.#db.exec('BEGIN IMMEDIATE');
    this.#depth += 1;
    try {
      const result = job();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  /** Runs a statement that changes something; returns how many rows it changed. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  /** The first row, or null. */
  get(sql: string, ...values: readonly SQLInputValue[]): Row | null {
    return this.#prepare(sql).get(...values) ?? null;
  }

  /** All rows. */
  all(sql: string, ...values: readonly SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values);
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function checkIntegrity(db: DatabaseSync, path: string): void {
  const row = db.prepare('PRAGMA quick_check(1)').get();
  const verdict = row?.['quick_check'];
  if (verdict !== 'ok') {
    throw new DataLossError(`state file ${path} is damaged: ${String(verdict)}; it was left untouched`);
  }
}

function migrate(db: DatabaseSync, path: string): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new UnavailableError(
      `state file ${path} has schema version ${String(version)}, written by a newer engine; this one knows up to ` +
        `${String(MIGRATIONS.length)}. Upgrade the engine, or give it another --data-root`,
    );
  }
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version=${String(index + 1)}; COMMIT;`);
  }
}
