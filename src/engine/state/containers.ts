import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Database, Row } from './database.ts';

/** One row of table `container`. The documents are opaque here; containers/record.ts reads and writes them. */
export interface ContainerRow {
  readonly id: ContainerId;
  /** Without slash. */
  readonly name: string;
  readonly imageId: string;
  readonly createdAt: Timestamp;
  readonly doc: string;
  readonly state: string;
}

/** Table `container`. Each call is one statement; put several into `db.transaction` where they belong together. */
export interface ContainerRows {
  all(): readonly ContainerRow[];
  insert(row: ContainerRow): void;
  setState(id: ContainerId, state: string): void;
  setDocument(id: ContainerId, doc: string): void;
  setName(id: ContainerId, name: string): void;
  delete(id: ContainerId): void;
}

/** The repository of containers in the state file. */
export function createContainerRows(db: Database): ContainerRows {
  return {
    all: () => db.all('SELECT id, name, image_id, created_at, doc, state FROM container').map(rowOf),
    insert: (row) => {
      db.run(
        'INSERT INTO container (id, name, image_id, created_at, doc, state) VALUES (?, ?, ?, ?, ?, ?)',
        row.id,
        row.name,
        row.imageId,
        row.createdAt,
        row.doc,
        row.state,
      );
    },
    setState: (id, state) => {
      db.run('UPDATE container SET state = ? WHERE id = ?', state, id);
    },
    setDocument: (id, doc) => {
      db.run('UPDATE container SET doc = ? WHERE id = ?', doc, id);
    },
    setName: (id, name) => {
      db.run('UPDATE container SET name = ? WHERE id = ?', name, id);
    },
    delete: (id) => {
      db.run('DELETE FROM container WHERE id = ?', id);
    },
  };
}

function rowOf(row: Row): ContainerRow {
  return {
    id: String(row['id']) as ContainerId,
    name: String(row['name']),
    imageId: String(row['image_id']),
    createdAt: row['created_at'] as Timestamp,
    doc: String(row['doc']),
    state: String(row['state']),
  };
}
