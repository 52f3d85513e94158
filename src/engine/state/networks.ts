import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId, NetworkId } from '../../base/ids.ts';
import type { Database, Row } from './database.ts';

/** A row of table `network`. What is in the document is the network room's business. */
export interface StoredNetwork {
  readonly id: NetworkId;
  readonly name: string;
  readonly createdAt: Timestamp;
  /** JSON. */
  readonly document: string;
}

/** A row of table `lease`: one address in use. */
export interface StoredLease {
  readonly networkId: NetworkId;
  readonly address: string;
  readonly containerId: ContainerId;
}

/** Networks and address leases in the state file. */
export class NetworkRepository {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All networks, oldest first. */
  list(): readonly StoredNetwork[] {
    return this.#database.all('SELECT id, name, created_at, doc FROM network ORDER BY created_at, id').map(networkOf);
  }

  /** Adds a network or replaces the one of the same id. */
  save({ id, name, createdAt, document }: StoredNetwork): void {
    this.#database.run(
      `INSERT INTO network (id, name, created_at, doc) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, doc = excluded.doc`,
      id,
      name,
      createdAt,
      document,
    );
  }

  /** Removes a network and its leases. */
  remove(id: NetworkId): void {
    this.#database.run('DELETE FROM network WHERE id = ?', id);
  }

  leases(): readonly StoredLease[] {
    return this.#database.all('SELECT network_id, address, container_id FROM lease').map(leaseOf);
  }

  /** Fails when the address is taken: the primary key is the last guard against two containers with one address. */
  addLease({ networkId, address, containerId }: StoredLease): void {
    this.#database.run(
      'INSERT INTO lease (network_id, address, container_id) VALUES (?, ?, ?)',
      networkId,
      address,
      containerId,
    );
  }

  removeLease(networkId: NetworkId, address: string): void {
    this.#database.run('DELETE FROM lease WHERE network_id = ? AND address = ?', networkId, address);
  }

  /** The leases on one network. */
  leasesOn(networkId: NetworkId): readonly StoredLease[] {
    return this.#database
      .all('SELECT network_id, address, container_id FROM lease WHERE network_id = ?', networkId)
      .map(leaseOf);
  }

  /** Makes the table hold exactly `leases`, in one transaction that writes only what differs. */
  replaceLeases(leases: readonly StoredLease[]): void {
    const wanted = new Map<NetworkId, Map<string, StoredLease>>();
    for (const lease of leases) {
      const onNetwork = wanted.get(lease.networkId) ?? new Map<string, StoredLease>();
      wanted.set(lease.networkId, onNetwork.set(lease.address, lease));
    }
    this.#database.transaction(() => {
      for (const { networkId, address, containerId } of this.leases()) {
        const onNetwork = wanted.get(networkId);
        if (onNetwork?.get(address)?.containerId === containerId) onNetwork.delete(address);
        else this.removeLease(networkId, address);
      }
      for (const onNetwork of wanted.values()) for (const lease of onNetwork.values()) this.addLease(lease);
    });
  }
}

function networkOf(row: Row): StoredNetwork {
  return {
    id: row['id'] as NetworkId,
    name: row['name'] as string,
    createdAt: row['created_at'] as Timestamp,
    document: row['doc'] as string,
  };
}

function leaseOf(row: Row): StoredLease {
  return {
    networkId: row['network_id'] as NetworkId,
    address: row['address'] as string,
    containerId: row['container_id'] as ContainerId,
  };
}
