import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Database, Row } from './database.ts';

/** A row of table `volume`. What is in the document is the volumes room's business. */
export interface StoredVolume {
  readonly name: string;
  readonly createdAt: Timestamp;
  /** JSON. */
  readonly document: string;
}

/** Volumes and who uses them, in the state file. */
export class VolumeRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** All, by name. */
  list(): readonly StoredVolume[] {
    return this.#db.all('SELECT name, created_at, doc FROM volume ORDER BY name').map(volumeOf);
  }

  get(name: string): StoredVolume | null {
    const row = this.#db.get('SELECT name, created_at, doc FROM volume WHERE name = ?', name);
    return row === null ? null : volumeOf(row);
  }

  insert({ name, createdAt, document }: StoredVolume): void {
    this.#db.run('INSERT INTO volume (name, created_at, doc) VALUES (?, ?, ?)', name, createdAt, document);
  }

  delete(name: string): void {
    this.#db.run('DELETE FROM volume WHERE name = ?', name);
  }

  hold(containerId: ContainerId, names: readonly string[]): void {
    this.#db.transaction(() => {
      for (const name of names) {
        this.#db.run('INSERT OR IGNORE INTO volume_use (volume_name, container_id) VALUES (?, ?)', name, containerId);
      }
    });
  }

  release(containerId: ContainerId): void {
    this.#db.run('DELETE FROM volume_use WHERE container_id = ?', containerId);
  }

  usersOf(name: string): readonly ContainerId[] {
    return this.#db
      .all('SELECT container_id FROM volume_use WHERE volume_name = ? ORDER BY rowid', name)
      .map((row) => row['container_id'] as ContainerId);
  }
}

function volumeOf(row: Row): StoredVolume {
  return {
    name: row['name'] as string,
    createdAt: row['created_at'] as Timestamp,
    document: row['doc'] as string,
  };
}
