import type { NetworkId } from '../../base/ids.ts';
import type { NetworkRepository } from '../state/networks.ts';
import { ambiguousNetwork, networkNotFound } from './messages.ts';
import type { NetworkRecord } from './types.ts';

/** What stands in a network's `document`. */
type NetworkDocument = Omit<NetworkRecord, 'id' | 'name' | 'createdAt'> & {
  /** True when this engine made the kernel's bridge, so that it may also take it away. */
  readonly ownsBridge: boolean;
};

interface Entry {
  readonly record: NetworkRecord;
  readonly ownsBridge: boolean;
}

/** The networks there are, in memory and in the state file. */
export class NetworkRegistry {
  readonly #repository: NetworkRepository;
  readonly #entries = new Map<NetworkId, Entry>();

  constructor(repository: NetworkRepository) {
    this.#repository = repository;
  }

  /** Reads all networks from the state file. */
  load(): void {
    this.#entries.clear();
    for (const { id, name, createdAt, document } of this.#repository.list()) {
      const { ownsBridge, ...rest } = JSON.parse(document) as NetworkDocument;
      this.#entries.set(id, { record: { id, name, createdAt, ...rest }, ownsBridge });
    }
  }

  /** All, oldest first. */
  list(): readonly NetworkRecord[] {
    return [...this.#entries.values()].map(({ record }) => record);
  }

  byId(id: NetworkId): NetworkRecord | null {
    return this.#entries.get(id)?.record ?? null;
  }

  byName(name: string): NetworkRecord | null {
    return this.list().find((record) => record.name === name) ?? null;
  }

  /** By id, name or unique id prefix, in this order. */
  get(ref: string): NetworkRecord {
    const exact = this.#entries.get(ref as NetworkId)?.record ?? this.byName(ref);
    if (exact !== null) return exact;
    const matches = ref === '' ? [] : this.list().filter(({ id }) => id.startsWith(ref));
    if (matches.length > 1) throw ambiguousNetwork(ref, matches.length);
    if (matches[0] === undefined) throw networkNotFound(ref);
    return matches[0];
  }

  /** Adds a network or replaces the one of the same id, keeping who made its bridge. */
  save(record: NetworkRecord): void {
    this.#store(record, this.owns(record));
  }

  remove(id: NetworkId): void {
    this.#repository.remove(id);
    this.#entries.delete(id);
  }

  owns({ id }: NetworkRecord): boolean {
    return this.#entries.get(id)?.ownsBridge ?? false;
  }

  /** Remembers that this engine made the network's bridge. */
  claim(record: NetworkRecord): void {
    this.#store(record, true);
  }

  #store(record: NetworkRecord, ownsBridge: boolean): void {
    const { id, name, createdAt, ...rest } = record;
    const document: NetworkDocument = { ...rest, ownsBridge };
    this.#repository.save({ id, name, createdAt, document: JSON.stringify(document) });
    this.#entries.set(id, { record, ownsBridge });
  }
}
