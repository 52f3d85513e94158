/**
 * The engine's state file: one SQLite database. `user_version` holds the schema version; each migration takes it one
 * step further in its own transaction. A file from a newer engine is refused, a damaged one reported; neither is
 * changed or deleted.
 *
 * Columns that are searched or must be unique are columns; the rest of a record is one JSON document in `doc`, whose
 * TypeScript type belongs to the room named beside the table. Times are nanoseconds since 1970 as INTEGER.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- images: id is the digest of the config blob
  CREATE TABLE image (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,      -- when this engine got it, for ordering of equal images
    doc TEXT NOT NULL                 -- images/record.ts ImageDocument
  ) STRICT;
  -- names: canonical repository and tag → image
  CREATE TABLE image_tag (
    repository TEXT NOT NULL,         -- docker.io/library/busybox
    tag TEXT NOT NULL,
    image_id TEXT NOT NULL REFERENCES image(id),
    tagged_at INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
  ) STRICT;
  CREATE INDEX image_tag_by_image ON image_tag(image_id);
  -- digests by which images are known at registries
  CREATE TABLE image_digest (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,             -- of the manifest or index
    image_id TEXT NOT NULL REFERENCES image(id),
    PRIMARY KEY (repository, digest)
  ) STRICT;
  CREATE INDEX image_digest_by_image ON image_digest(image_id);
  -- unpacked layers
  CREATE TABLE layer (
    chain_id TEXT PRIMARY KEY,
    parent TEXT REFERENCES layer(chain_id),
    diff_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX layer_by_parent ON layer(parent);
  -- blobs that images need, so that removal knows what nobody uses any more
  CREATE TABLE image_blob (
    image_id TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (image_id, digest)
  ) STRICT;
  CREATE INDEX image_blob_by_digest ON image_blob(digest);

  CREATE TABLE container (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,        -- without the leading slash
    image_id TEXT,
    created_at INTEGER NOT NULL,
    doc TEXT NOT NULL,                -- containers/record.ts ContainerDocument: what was asked for
    state TEXT NOT NULL               -- containers/record.ts StateDocument: what is
  ) STRICT;
  CREATE INDEX container_by_image ON container(image_id);

  CREATE TABLE network (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    doc TEXT NOT NULL                 -- network/types.ts NetworkRecord
  ) STRICT;
  -- address leases; one row an address in use
  CREATE TABLE lease (
    network_id TEXT NOT NULL REFERENCES network(id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    container_id TEXT NOT NULL,
    PRIMARY KEY (network_id, address)
  ) STRICT;
  CREATE INDEX lease_by_container ON lease(container_id);

  CREATE TABLE volume (
    name TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    doc TEXT NOT NULL                 -- volumes/driver.ts VolumeRecord
  ) STRICT;
  CREATE TABLE volume_use (
    volume_name TEXT NOT NULL REFERENCES volume(name),
    container_id TEXT NOT NULL,
    PRIMARY KEY (volume_name, container_id)
  ) STRICT;
  CREATE INDEX volume_use_by_container ON volume_use(container_id);

  -- facts about this state directory itself: engine id, storage driver that holds data
  CREATE TABLE fact (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT;
  `,
  `
  -- what the engine does by the clock
  CREATE TABLE schedule (
    key TEXT PRIMARY KEY,             -- prune, container:<id>, dbus:<name>
    doc TEXT,                         -- schedules/record.ts ScheduleDocument; NULL for what follows from elsewhere
    state TEXT NOT NULL               -- schedules/record.ts ScheduleState
  ) STRICT;
  `,
];
