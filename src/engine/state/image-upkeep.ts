import type { Timestamp } from '../../base/clock.ts';
import type { ChainId, Digest, ImageId } from '../oci/digest.ts';
import type { Database } from './database.ts';

/** Content that an image has lost. */
export interface ImageFlaw {
  readonly imageId: ImageId;
  /** A blob's digest, or the chain id of a layer. */
  readonly subject: Digest | ChainId;
  readonly kind: 'blob' | 'layer';
}

/** When images were used, and what they lack: column `image.used_at` and table `image_flaw`. */
export class ImageUpkeepTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Notes that an image was used; never goes back. */
  touch(id: ImageId, at: Timestamp): void {
    this.#db.run('UPDATE image SET used_at = ? WHERE id = ? AND used_at < ?', at, id, at);
  }

  /** When each image was last used; one that never was counts from when it came. */
  lastUses(): ReadonlyMap<ImageId, Timestamp> {
    const rows = this.#db.all('SELECT id, max(used_at, created_at) AS used_at FROM image');
    return new Map(rows.map((row) => [row['id'] as ImageId, row['used_at'] as Timestamp]));
  }

  /** An image that has gone meanwhile lacks nothing. */
  addFlaw({ imageId, subject, kind }: ImageFlaw): void {
    this.#db.run(
      `INSERT INTO image_flaw (image_id, subject, kind) SELECT id, ?, ? FROM image WHERE id = ?
       ON CONFLICT (image_id, subject) DO NOTHING`,
      subject,
      kind,
      imageId,
    );
  }

  flawsOf(id: ImageId): readonly ImageFlaw[] {
    return this.#db
      .all('SELECT image_id, subject, kind FROM image_flaw WHERE image_id = ? ORDER BY kind, subject', id)
      .map((row) => ({
        imageId: row['image_id'] as ImageId,
        subject: row['subject'] as Digest,
        kind: row['kind'] as ImageFlaw['kind'],
      }));
  }

  /** True when some image lacks it. */
  isFlawed(subject: Digest | ChainId): boolean {
    return this.#db.get('SELECT 1 FROM image_flaw WHERE subject = ? LIMIT 1', subject) !== null;
  }

  /** An image was brought again whole, and with it content that others may have lacked. */
  mended(id: ImageId, subjects: readonly (Digest | ChainId)[]): void {
    this.#db.run('DELETE FROM image_flaw WHERE image_id = ?', id);
    this.clearFlaws(subjects);
  }

  /** The content is there again: no image lacks it any more. */
  clearFlaws(subjects: readonly (Digest | ChainId)[]): void {
    for (const subject of subjects) this.#db.run('DELETE FROM image_flaw WHERE subject = ?', subject);
  }
}
