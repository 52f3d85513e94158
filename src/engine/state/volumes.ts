import type { ContainerId } from '../../base/ids.ts';
import type { VolumeRecord } from '../volumes/driver.ts';
import type { Database, Row } from './database.ts';

/** Volumes and who uses them, in the state file. */
export class VolumeRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** All, by name. */
  list(): readonly VolumeRecord[] {
    return this.#db.all('SELECT doc, created_at FROM volume ORDER BY name').map(recordOf);
  }

  get(name: string): VolumeRecord | null {
    const row = this.#db.get('SELECT doc, created_at FROM volume WHERE name = ?', name);
    return row === null ? null : recordOf(row);
  }

  insert(volume: VolumeRecord): void {
    const { createdAt, ...rest } = volume;
    this.#db.run(
      'INSERT INTO volume (name, created_at, doc) VALUES (?, ?, ?)',
      volume.name,
      createdAt,
      JSON.stringify(rest),
    );
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

function recordOf(row: Row): VolumeRecord {
  const document = JSON.parse(row['doc'] as string) as Omit<VolumeRecord, 'createdAt'>;
  return { ...document, createdAt: row['created_at'] as VolumeRecord['createdAt'] };
}
