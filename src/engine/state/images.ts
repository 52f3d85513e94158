import type { Timestamp } from '../../base/clock.ts';
import type { ChainId, Digest, ImageId } from '../oci/digest.ts';
import type { Database, Row } from './database.ts';

/** One image; `doc` is images/record.ts ImageDocument as JSON. */
export interface ImageRow {
  readonly id: ImageId;
  readonly createdAt: Timestamp;
  readonly doc: string;
}

/** A name of an image. */
export interface TagRow {
  /** `docker.io/library/busybox` */
  readonly repository: string;
  readonly tag: string;
  readonly imageId: ImageId;
  readonly taggedAt: Timestamp;
}

/** A digest by which a registry knows an image. */
export interface DigestRow {
  readonly repository: string;
  readonly digest: Digest;
  readonly imageId: ImageId;
}

/** Tables `image`, `image_tag`, `image_digest` and `image_blob`. Callers group changes in transactions. */
export class ImageTables {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  transaction<T>(job: () => T): T {
    return this.#db.transaction(job);
  }

  /** See {@link Database.settled}. */
  async settled(): Promise<void> {
    await this.#db.settled();
  }

  /** Null when there is none. */
  get(id: ImageId): ImageRow | null {
    const row = this.#db.get('SELECT id, created_at, doc FROM image WHERE id = ?', id);
    return row === null ? null : imageOf(row);
  }

  /** All images, oldest first. */
  all(): readonly ImageRow[] {
    return this.#db.all('SELECT id, created_at, doc FROM image ORDER BY created_at, id').map(imageOf);
  }

  /** Ids of all images, oldest first. */
  ids(): readonly ImageId[] {
    return this.#db.all('SELECT id FROM image ORDER BY created_at, id').map((row) => row['id'] as ImageId);
  }

  /** Up to `limit` ids that begin with these hex digits. */
  idsWithPrefix(hex: string, limit: number): readonly ImageId[] {
    const low = `sha256:${hex}`;
    // 'g' sorts just above every hex digit.
    const rows = this.#db.all('SELECT id FROM image WHERE id >= ? AND id < ? LIMIT ?', low, `${low}g`, limit);
    return rows.map((row) => row['id'] as ImageId);
  }

  /** Adds an image with the blobs it needs; adding it again only adds blobs. */
  insert(image: ImageRow, blobs: readonly Digest[]): void {
    this.#db.run(
      'INSERT INTO image (id, created_at, doc) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING',
      image.id,
      image.createdAt,
      image.doc,
    );
    for (const digest of blobs) {
      this.#db.run(
        'INSERT INTO image_blob (image_id, digest) VALUES (?, ?) ON CONFLICT (image_id, digest) DO NOTHING',
        image.id,
        digest,
      );
    }
  }

  /** Gives an image another document, and other blobs that it needs. */
  replace({ id, doc }: Pick<ImageRow, 'id' | 'doc'>, blobs: readonly Digest[]): void {
    this.#db.run('UPDATE image SET doc = ? WHERE id = ?', doc, id);
    this.#db.run('DELETE FROM image_blob WHERE image_id = ?', id);
    for (const digest of new Set(blobs)) {
      this.#db.run('INSERT INTO image_blob (image_id, digest) VALUES (?, ?)', id, digest);
    }
  }

  /** Deletes an image that has no names any more. */
  remove(id: ImageId): void {
    this.#db.run('DELETE FROM image WHERE id = ?', id);
  }

  blobsOf(id: ImageId): readonly Digest[] {
    return this.#db.all('SELECT digest FROM image_blob WHERE image_id = ?', id).map((row) => row['digest'] as Digest);
  }

  /** True when some image, or the build cache, needs the blob. */
  isBlobUsed(digest: Digest): boolean {
    const sql = `SELECT 1 FROM image_blob WHERE digest = ?1 UNION ALL SELECT 1 FROM build_step WHERE blob = ?1 LIMIT 1`;
    return this.#db.get(sql, digest) !== null;
  }

  /** Layers that the build cache keeps. */
  cachedLayers(): readonly ChainId[] {
    return this.#db
      .all('SELECT DISTINCT chain_id FROM build_step WHERE chain_id IS NOT NULL')
      .map((row) => row['chain_id'] as ChainId);
  }

  tagsOf(id: ImageId): readonly TagRow[] {
    return this.#db
      .all('SELECT repository, tag, image_id, tagged_at FROM image_tag WHERE image_id = ? ORDER BY repository, tag', id)
      .map(tagOf);
  }

  digestsOf(id: ImageId): readonly DigestRow[] {
    return this.#db
      .all('SELECT repository, digest, image_id FROM image_digest WHERE image_id = ? ORDER BY repository, digest', id)
      .map(digestOf);
  }

  /** All tags of a repository, by name. */
  tagsIn(repository: string): readonly TagRow[] {
    return this.#db
      .all('SELECT repository, tag, image_id, tagged_at FROM image_tag WHERE repository = ? ORDER BY tag', repository)
      .map(tagOf);
  }

  /** All digests by which a repository knows images. */
  digestsIn(repository: string): readonly DigestRow[] {
    return this.#db
      .all('SELECT repository, digest, image_id FROM image_digest WHERE repository = ? ORDER BY digest', repository)
      .map(digestOf);
  }

  /** Every tag there is. */
  allTags(): readonly TagRow[] {
    return this.#db
      .all('SELECT repository, tag, image_id, tagged_at FROM image_tag ORDER BY repository, tag')
      .map(tagOf);
  }

  /** Every digest there is. */
  allDigests(): readonly DigestRow[] {
    return this.#db
      .all('SELECT repository, digest, image_id FROM image_digest ORDER BY repository, digest')
      .map(digestOf);
  }

  imageTagged(repository: string, tag: string): ImageId | null {
    const row = this.#db.get('SELECT image_id FROM image_tag WHERE repository = ? AND tag = ?', repository, tag);
    return row === null ? null : (row['image_id'] as ImageId);
  }

  imageWithDigest(repository: string, digest: Digest): ImageId | null {
    const row = this.#db.get(
      'SELECT image_id FROM image_digest WHERE repository = ? AND digest = ?',
      repository,
      digest,
    );
    return row === null ? null : (row['image_id'] as ImageId);
  }

  /** Points a tag at an image, away from another if need be. */
  setTag({ repository, tag, imageId, taggedAt }: TagRow): void {
    this.#db.run(
      `INSERT INTO image_tag (repository, tag, image_id, tagged_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (repository, tag) DO UPDATE SET image_id = excluded.image_id, tagged_at = excluded.tagged_at`,
      repository,
      tag,
      imageId,
      taggedAt,
    );
  }

  removeTag(repository: string, tag: string): boolean {
    return this.#db.run('DELETE FROM image_tag WHERE repository = ? AND tag = ?', repository, tag) > 0;
  }

  setDigest({ repository, digest, imageId }: DigestRow): void {
    this.#db.run(
      `INSERT INTO image_digest (repository, digest, image_id) VALUES (?, ?, ?)
       ON CONFLICT (repository, digest) DO UPDATE SET image_id = excluded.image_id`,
      repository,
      digest,
      imageId,
    );
  }

  removeDigest(repository: string, digest: Digest): boolean {
    return this.#db.run('DELETE FROM image_digest WHERE repository = ? AND digest = ?', repository, digest) > 0;
  }
}

function imageOf(row: Row): ImageRow {
  return { id: row['id'] as ImageId, createdAt: row['created_at'] as Timestamp, doc: row['doc'] as string };
}

function tagOf(row: Row): TagRow {
  return {
    repository: row['repository'] as string,
    tag: row['tag'] as string,
    imageId: row['image_id'] as ImageId,
    taggedAt: row['tagged_at'] as Timestamp,
  };
}

function digestOf(row: Row): DigestRow {
  return {
    repository: row['repository'] as string,
    digest: row['digest'] as Digest,
    imageId: row['image_id'] as ImageId,
  };
}
