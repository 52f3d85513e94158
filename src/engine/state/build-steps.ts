import type { Timestamp } from '../../base/clock.ts';
import type { ChainId, Digest, ImageId } from '../oci/digest.ts';
import type { Database, Row } from './database.ts';

/** One step that a build has made; `doc` is build/cache/record.ts StepDocument as JSON. */
export interface BuildStepRow {
  readonly key: string;
  /** The nearest step below that has made a layer, as its key; null: it stands on an image. */
  readonly parent: string | null;
  readonly chainId: ChainId | null;
  readonly blob: Digest | null;
  readonly createdAt: Timestamp;
  readonly usedAt: Timestamp;
  /** How often a later build took it. */
  readonly uses: number;
  readonly doc: string;
}

const COLUMNS = 'key, parent, chain_id, blob, created_at, used_at, uses, doc';

/** Tables `build_step` and `build_image`. Callers group changes in transactions. */
export class BuildTables {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Null when there is none. */
  step(key: string): BuildStepRow | null {
    const row = this.#db.get(`SELECT ${COLUMNS} FROM build_step WHERE key = ?`, key);
    return row === null ? null : stepOf(row);
  }

  /** All steps, oldest first. */
  steps(): readonly BuildStepRow[] {
    return this.#db.all(`SELECT ${COLUMNS} FROM build_step ORDER BY created_at, key`).map(stepOf);
  }

  /** Adds a step, in the place of one with the same key. */
  put(step: BuildStepRow): void {
    this.#db.run(
      `INSERT OR REPLACE INTO build_step (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      step.key,
      step.parent,
      step.chainId,
      step.blob,
      step.createdAt,
      step.usedAt,
      step.uses,
      step.doc,
    );
  }

  /** Notes that a build took a step. */
  touch(key: string, usedAt: Timestamp): void {
    this.#db.run('UPDATE build_step SET used_at = ?, uses = uses + 1 WHERE key = ?', usedAt, key);
  }

  /** False when there was none. */
  remove(key: string): boolean {
    return this.#db.run('DELETE FROM build_step WHERE key = ?', key) > 0;
  }

  /** Deletes the steps without a layer whose parent it is. */
  removeBareChildren(parent: string): void {
    this.#db.run('DELETE FROM build_step WHERE parent = ? AND chain_id IS NULL', parent);
  }

  /** Deletes the steps without a layer that stand on no step with one. */
  removeBare(): void {
    this.#db.run(
      `DELETE FROM build_step WHERE chain_id IS NULL
       AND (parent IS NULL OR NOT EXISTS (SELECT 1 FROM build_step AS below WHERE below.key = build_step.parent))`,
    );
  }

  /** Deletes the steps without a layer that no build took since, and of the others all but the last taken. */
  limitBare(since: Timestamp, atMost: number): void {
    this.#db.run('DELETE FROM build_step WHERE chain_id IS NULL AND used_at < ?', since);
    this.#db.run(
      `DELETE FROM build_step WHERE key IN
       (SELECT key FROM build_step WHERE chain_id IS NULL ORDER BY used_at DESC LIMIT -1 OFFSET ?)`,
      atMost,
    );
  }

  /** Images of builds under way: a start finds those of a killed engine. */
  images(): readonly ImageId[] {
    return this.#db.all('SELECT image_id FROM build_image').map((row) => row['image_id'] as ImageId);
  }

  isDraft(id: ImageId): boolean {
    return this.#db.get('SELECT 1 FROM build_image WHERE image_id = ?', id) !== null;
  }

  addImage(id: ImageId): void {
    this.#db.run('INSERT INTO build_image (image_id) VALUES (?) ON CONFLICT DO NOTHING', id);
  }

  /** The image is here to stay. */
  releaseImage(id: ImageId): void {
    this.#db.run('DELETE FROM build_image WHERE image_id = ?', id);
  }
}

function stepOf(row: Row): BuildStepRow {
  return {
    key: row['key'] as string,
    parent: row['parent'] as string | null,
    chainId: row['chain_id'] as ChainId | null,
    blob: row['blob'] as Digest | null,
    createdAt: row['created_at'] as Timestamp,
    usedAt: row['used_at'] as Timestamp,
    uses: Number(row['uses']),
    doc: row['doc'] as string,
  };
}
