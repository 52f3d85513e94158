import type { ChainId, DiffId } from '../oci/digest.ts';
import type { Database, Row } from './database.ts';

/** One unpacked layer. */
export interface LayerRow {
  readonly chainId: ChainId;
  readonly parent: ChainId | null;
  readonly diffId: DiffId;
  readonly sizeBytes: number;
}

/** Written by engines that had one driver's layers only. */
const UNCLAIMED = '';

/** Table `layer` for one storage driver: which of its layers are complete. A snapshot that is not in here is a leftover. */
export class LayerTable {
  readonly #db: Database;
  readonly #driver: string;

  constructor(db: Database, driver: string) {
    this.#db = db;
    this.#driver = driver;
  }

  /** Null when the layer is not there. */
  get(chainId: ChainId): LayerRow | null {
    const row = this.#db.get(
      'SELECT chain_id, parent, diff_id, size_bytes FROM layer WHERE driver = ? AND chain_id = ?',
      this.#driver,
      chainId,
    );
    return row === null ? null : layerOf(row);
  }

  /** All layers, in no order. */
  all(): readonly LayerRow[] {
    return this.#db
      .all('SELECT chain_id, parent, diff_id, size_bytes FROM layer WHERE driver = ?', this.#driver)
      .map(layerOf);
  }

  /** True when another layer lies on this one. */
  hasChildren(chainId: ChainId): boolean {
    return this.#db.get('SELECT 1 FROM layer WHERE driver = ? AND parent = ? LIMIT 1', this.#driver, chainId) !== null;
  }

  /** Adds a layer; its parent must be there. Adding it again changes nothing. */
  insert(layer: LayerRow): void {
    this.#db.run(
      `INSERT INTO layer (driver, chain_id, parent, diff_id, size_bytes) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (driver, chain_id) DO NOTHING`,
      this.#driver,
      layer.chainId,
      layer.parent,
      layer.diffId,
      layer.sizeBytes,
    );
  }

  /** Writes down anew what a layer is, and on which one it lies, which must be there. */
  correct({ chainId, parent, diffId }: Pick<LayerRow, 'chainId' | 'parent' | 'diffId'>): void {
    this.#db.run(
      'UPDATE layer SET parent = ?, diff_id = ? WHERE driver = ? AND chain_id = ?',
      parent,
      diffId,
      this.#driver,
      chainId,
    );
  }

  /** Deletes a layer that nothing lies on; false when there was none. */
  remove(chainId: ChainId): boolean {
    return this.#db.run('DELETE FROM layer WHERE driver = ? AND chain_id = ?', this.#driver, chainId) > 0;
  }

  /** Layers that no driver has claimed: those of an engine that did not note whose they were. */
  unclaimed(): readonly ChainId[] {
    return this.#db
      .all('SELECT chain_id FROM layer WHERE driver = ?', UNCLAIMED)
      .map((row) => row['chain_id'] as ChainId);
  }

  /** Makes all unclaimed layers this driver's. */
  claim(): void {
    this.#db.run('UPDATE OR IGNORE layer SET driver = ? WHERE driver = ?', this.#driver, UNCLAIMED);
  }
}

/** How many layers each storage driver has. */
export function layerCounts(db: Database): ReadonlyMap<string, number> {
  const rows = db.all('SELECT driver, count(*) AS count FROM layer GROUP BY driver');
  return new Map(rows.map((row) => [row['driver'] as string, Number(row['count'])]));
}

function layerOf(row: Row): LayerRow {
  return {
    chainId: row['chain_id'] as ChainId,
    parent: row['parent'] as ChainId | null,
    diffId: row['diff_id'] as DiffId,
    sizeBytes: Number(row['size_bytes']),
  };
}
