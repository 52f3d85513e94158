import type { ChainId, DiffId } from '../oci/digest.ts';
import type { Database, Row } from './database.ts';

/** One unpacked layer. */
export interface LayerRow {
  readonly chainId: ChainId;
  readonly parent: ChainId | null;
  readonly diffId: DiffId;
  readonly sizeBytes: number;
}

/** Table `layer`: which layers are complete. A snapshot that is not in here is a leftover. */
export class LayerTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Null when the layer is not there. */
  get(chainId: ChainId): LayerRow | null {
    const row = this.#db.get('SELECT chain_id, parent, diff_id, size_bytes FROM layer WHERE chain_id = ?', chainId);
    return row === null ? null : layerOf(row);
  }

  /** All layers, in no order. */
  all(): readonly LayerRow[] {
    return this.#db.all('SELECT chain_id, parent, diff_id, size_bytes FROM layer').map(layerOf);
  }

  /** True when another layer lies on this one. */
  hasChildren(chainId: ChainId): boolean {
    return this.#db.get('SELECT 1 FROM layer WHERE parent = ? LIMIT 1', chainId) !== null;
  }

  /** Adds a layer; its parent must be there. Adding it again changes nothing. */
  insert(layer: LayerRow): void {
    this.#db.run(
      'INSERT INTO layer (chain_id, parent, diff_id, size_bytes) VALUES (?, ?, ?, ?) ON CONFLICT (chain_id) DO NOTHING',
      layer.chainId,
      layer.parent,
      layer.diffId,
      layer.sizeBytes,
    );
  }

  /** Deletes a layer that nothing lies on; false when there was none. */
  remove(chainId: ChainId): boolean {
    return this.#db.run('DELETE FROM layer WHERE chain_id = ?', chainId) > 0;
  }
}

function layerOf(row: Row): LayerRow {
  return {
    chainId: row['chain_id'] as ChainId,
    parent: row['parent'] as ChainId | null,
    diffId: row['diff_id'] as DiffId,
    sizeBytes: Number(row['size_bytes']),
  };
}
