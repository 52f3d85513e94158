import type { ContainerId } from '../../base/ids.ts';
import type { Database } from './database.ts';

/** The ids that one container has for itself. */
export interface UsernsLease {
  readonly containerId: ContainerId;
  readonly first: number;
  readonly count: number;
}

/** Table `userns_lease`. A lease ends with its container's row. */
export interface UsernsLeases {
  all(): readonly UsernsLease[];
  /** Null when the container has none. */
  of(containerId: ContainerId): UsernsLease | null;
  insert(lease: UsernsLease): void;
}

/** The repository of id leases in the state file. */
export function createUsernsLeases(db: Database): UsernsLeases {
  const leaseOf = (row: Readonly<Record<string, unknown>>): UsernsLease => ({
    containerId: row['container_id'] as ContainerId,
    first: Number(row['first']),
    count: Number(row['count']),
  });
  return {
    all: () => db.all('SELECT container_id, first, count FROM userns_lease ORDER BY first').map(leaseOf),
    of: (containerId) => {
      const row = db.get('SELECT container_id, first, count FROM userns_lease WHERE container_id = ?', containerId);
      return row === null ? null : leaseOf(row);
    },
    insert: ({ containerId, first, count }) => {
      db.run('INSERT INTO userns_lease (container_id, first, count) VALUES (?, ?, ?)', containerId, first, count);
    },
  };
}
