import type { Timestamp } from '../../base/clock.ts';
import type { Database, Row } from './database.ts';

/** A row of table `build_cache_mount`: one directory. */
export interface CacheMountRow {
  readonly id: string;
  /** What RUN knows it by; several may have the same. */
  readonly name: string;
  /** What it began with. */
  readonly base: string;
  /** Where it was mounted first. */
  readonly target: string;
  readonly createdAt: Timestamp;
  readonly usedAt: Timestamp;
  readonly uses: number;
  /** When it was measured last. */
  readonly sizeBytes: number;
}

const COLUMNS = 'id, name, base, target, created_at, used_at, uses, size_bytes';

/** Cache mounts in the state file. */
export class CacheMountTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  all(): readonly CacheMountRow[] {
    return this.#db.all(`SELECT ${COLUMNS} FROM build_cache_mount`).map(rowOf);
  }

  /** Inserts it, or replaces what is known of it. */
  put({ id, name, base, target, createdAt, usedAt, uses, sizeBytes }: CacheMountRow): void {
    this.#db.run(
      `INSERT OR REPLACE INTO build_cache_mount (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, name, base, target, createdAt, usedAt, uses, sizeBytes],
    );
  }

  delete(id: string): void {
    this.#db.run('DELETE FROM build_cache_mount WHERE id = ?', id);
  }
}

function rowOf(row: Row): CacheMountRow {
  return {
    id: row['id'] as string,
    name: row['name'] as string,
    base: row['base'] as string,
    target: row['target'] as string,
    createdAt: row['created_at'] as Timestamp,
    usedAt: row['used_at'] as Timestamp,
    uses: Number(row['uses']),
    sizeBytes: Number(row['size_bytes']),
  };
}
