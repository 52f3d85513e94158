import type { Timestamp } from '../../base/clock.ts';
import type { Database, Row } from './database.ts';

/** A row of table `secret`. Document and sealed bytes are the secrets room's business. */
export interface StoredSecret {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Timestamp;
  /** JSON. */
  readonly document: string;
  readonly sealed: Uint8Array;
}

const COLUMNS = 'id, name, created_at, doc, sealed';

/** Named secrets in the state file, sealed. */
export class SecretRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** All, by name. */
  list(): readonly StoredSecret[] {
    return this.#db.all(`SELECT ${COLUMNS} FROM secret ORDER BY name`).map(secretOf);
  }

  /** By its name or its whole id; the id goes first, as in swarm. */
  get(nameOrId: string): StoredSecret | null {
    const row = this.#db.get(
      `SELECT ${COLUMNS} FROM secret WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC LIMIT 1`,
      nameOrId,
    );
    return row === null ? null : secretOf(row);
  }

  insert({ id, name, createdAt, document, sealed }: StoredSecret): void {
    this.#db.run(`INSERT INTO secret (${COLUMNS}) VALUES (?, ?, ?, ?, ?)`, id, name, createdAt, document, sealed);
  }

  update({ id, document, sealed }: Pick<StoredSecret, 'id' | 'document' | 'sealed'>): void {
    this.#db.run('UPDATE secret SET doc = ?, sealed = ? WHERE id = ?', document, sealed, id);
  }

  delete(id: string): void {
    this.#db.run('DELETE FROM secret WHERE id = ?', id);
  }
}

function secretOf(row: Row): StoredSecret {
  return {
    id: row['id'] as string,
    name: row['name'] as string,
    createdAt: row['created_at'] as Timestamp,
    document: row['doc'] as string,
    sealed: row['sealed'] as Uint8Array,
  };
}
