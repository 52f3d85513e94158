import type { ContainerId } from '../../base/ids.ts';
import type { Database } from './database.ts';

/** How much the writable layer of a container held when it was measured. */
export interface ContainerSizeRow {
  readonly containerId: ContainerId;
  /** What it was then; see containers/known-sizes.ts. */
  readonly condition: string;
  readonly sizeBytes: number;
}

/** Table `container_size`. A row goes with its container's. */
export interface ContainerSizeRows {
  all(): readonly ContainerSizeRow[];
  /** Replaces what was known of a container; does nothing when it has gone. */
  put(rows: readonly ContainerSizeRow[]): void;
  delete(containerId: ContainerId): void;
}

/** The repository of measured sizes in the state file. */
export function createContainerSizeRows(db: Database): ContainerSizeRows {
  return {
    all: () =>
      db.all('SELECT container_id, condition, size_bytes FROM container_size').map((row) => ({
        containerId: row['container_id'] as ContainerId,
        condition: String(row['condition']),
        sizeBytes: Number(row['size_bytes']),
      })),
    put: (rows) => {
      db.transaction(() => {
        for (const { containerId, condition, sizeBytes } of rows) {
          db.run(
            `INSERT OR REPLACE INTO container_size (container_id, condition, size_bytes)
             SELECT id, ?, ? FROM container WHERE id = ?`,
            condition,
            sizeBytes,
            containerId,
          );
        }
      });
    },
    delete: (containerId) => {
      db.run('DELETE FROM container_size WHERE container_id = ?', containerId);
    },
  };
}
