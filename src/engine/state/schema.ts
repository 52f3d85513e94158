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
  `
  -- when an image was last put to use: a container made, started or ended, a pull, load, tag, save or push
  ALTER TABLE image ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
  UPDATE image SET used_at = created_at;
  -- content of an image that was found damaged and is gone: a pull brings it again
  CREATE TABLE image_flaw (
    image_id TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE,
    subject TEXT NOT NULL,            -- digest of the blob, chain id of the layer
    kind TEXT NOT NULL,               -- blob, layer
    PRIMARY KEY (image_id, subject)
  ) STRICT;
  CREATE INDEX image_flaw_by_subject ON image_flaw(subject);
  `,
  `
  -- named secrets; what they hold is sealed with a key that is not in this file
  CREATE TABLE secret (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    doc TEXT NOT NULL,                -- secrets/record.ts SecretDocument
    sealed BLOB NOT NULL              -- secrets/keyring.ts
  ) STRICT;
  `,
  `
  -- ids that a container's user namespace has for itself (userns auto); they end with the container
  CREATE TABLE userns_lease (
    container_id TEXT PRIMARY KEY REFERENCES container(id) ON DELETE CASCADE,
    first INTEGER NOT NULL,           -- of the host, users and groups alike
    count INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- what happened; the oldest go when there are too many (events/history.ts)
  CREATE TABLE event (
    number INTEGER PRIMARY KEY,       -- in the order of publication, over all restarts
    time INTEGER NOT NULL,
    doc TEXT NOT NULL                 -- events/types.ts EngineEvent less its time
  ) STRICT;
  `,
  `
  -- layers belong to the storage driver that has their trees; '' for those of an engine that did not say
  CREATE TABLE layer_of_driver (
    driver TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    parent TEXT,
    diff_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (driver, chain_id),
    FOREIGN KEY (driver, parent) REFERENCES layer_of_driver(driver, chain_id) DEFERRABLE INITIALLY DEFERRED
  ) STRICT;
  INSERT INTO layer_of_driver SELECT '', chain_id, parent, diff_id, size_bytes FROM layer;
  DROP TABLE layer;
  ALTER TABLE layer_of_driver RENAME TO layer;
  CREATE INDEX layer_by_parent ON layer(driver, parent);
  `,
  `
  -- what the writable layers of containers that do not run held when they were measured
  CREATE TABLE container_size (
    container_id TEXT PRIMARY KEY REFERENCES container(id) ON DELETE CASCADE,
    condition TEXT NOT NULL,          -- containers/known-sizes.ts: good while it is in this condition
    size_bytes INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- what the steps of builds have made, by what they were made of; their layers and blobs stay for them
  CREATE TABLE build_step (
    key TEXT PRIMARY KEY,             -- build/solve/keys.ts
    parent TEXT,                      -- the nearest step below that has made a layer; it may have gone
    chain_id TEXT,                    -- of the layer; NULL: nothing changed but the configuration
    blob TEXT,                        -- that holds the layer
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    doc TEXT NOT NULL                 -- build/cache/record.ts StepDocument
  ) STRICT;
  CREATE INDEX build_step_by_layer ON build_step(chain_id);
  CREATE INDEX build_step_by_blob ON build_step(blob);
  -- images that builds under way have made for what stands on them; a start takes them away
  CREATE TABLE build_image (
    image_id TEXT PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE
  ) STRICT;
  `,
  `
  -- directories that RUN --mount=type=cache keeps between builds
  CREATE TABLE build_cache_mount (
    id TEXT PRIMARY KEY,              -- name of its directory
    name TEXT NOT NULL,               -- what RUN knows it by
    base TEXT NOT NULL,               -- what it began with; '' for nothing
    target TEXT NOT NULL,             -- where it was mounted first
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL       -- when it was measured last
  ) STRICT;
  `,
];
