/**
 * Which images there are and what they are called. Everything here is synchronous: it reads and writes rows, never
 * content.
 */
import type { Clock } from '../../base/clock.ts';
import { InvalidArgumentError, NotFoundError } from '../../base/errors.ts';
import type { Events } from '../events/types.ts';
import { isDigest, type ChainId, type Digest, type ImageId } from '../oci/digest.ts';
import {
  canonicalName,
  familiarName,
  familiarString,
  parseReference,
  withDefaultTag,
  type NamedReference,
} from '../oci/reference.ts';
import type { DigestRow, ImageRow, ImageTables, TagRow } from '../state/images.ts';
import type { ImageDocument } from './record.ts';
import type { ImageView } from './types.ts';

/** One stored image. */
export interface StoredImage {
  readonly id: ImageId;
  readonly document: ImageDocument;
}

export class ImageCatalog {
  readonly tables: ImageTables;
  readonly #clock: Clock;
  readonly #events: Events;
  /** Parsed documents: they never change while the image exists. */
  readonly #documents = new Map<ImageId, ImageDocument>();
  readonly #watchers = new Set<(id: ImageId) => void>();
  /** Changed in the transaction under way. */
  readonly #changed = new Set<ImageId>();
  #depth = 0;

  constructor(tables: ImageTables, clock: Clock, events: Events) {
    this.tables = tables;
    this.#clock = clock;
    this.#events = events;
  }

  /** Calls back when an image has come, gone, or bears other names, right after its transaction. */
  watch(watcher: (id: ImageId) => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  /** Runs `job` in one transaction of the state file; nested calls join it. What changed is told after the outermost. */
  transaction<T>(job: () => T): T {
    this.#depth += 1;
    try {
      return this.tables.transaction(job);
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#tell();
    }
  }

  /** Null when there is none. */
  get(id: ImageId): StoredImage | null {
    const known = this.#documents.get(id);
    if (known !== undefined) return { id, document: known };
    const row = this.tables.get(id);
    return row === null ? null : this.#remember(row);
  }

  /** All images, oldest first. */
  all(): readonly StoredImage[] {
    return this.tables.all().map((row) => {
      const document = this.#documents.get(row.id);
      return document === undefined ? this.#remember(row) : { id: row.id, document };
    });
  }

  /**
   * The image that `ref` names: a reference, an id, or a prefix of an id that is unique. A name wins over an id.
   * InvalidArgumentError when `ref` cannot be a name, NotFoundError in Docker's words (also for an ambiguous prefix).
   */
  lookUp(ref: string): StoredImage {
    const id = fullId(ref);
    if (id !== null) {
      const image = this.get(id);
      if (image === null) throw new NotFoundError(`No such image: ${id}`);
      return image;
    }
    const reference = parseReference(ref);
    const found = this.named(reference) ?? this.#byPrefix(ref);
    const image = found === null ? null : this.get(found);
    if (image === null) throw new NotFoundError(`No such image: ${familiarString(withDefaultTag(reference))}`);
    return image;
  }

  /** The image with this very name; a digest decides where there is one. */
  named(reference: NamedReference): ImageId | null {
    const repository = canonicalName(reference);
    if (reference.digest !== null) return this.tables.imageWithDigest(repository, reference.digest);
    return this.tables.imageTagged(repository, reference.tag ?? 'latest');
  }

  /** All that fronts show of an image. */
  view({ id, document }: StoredImage): ImageView {
    const tags = this.tables.tagsOf(id);
    const layerChainIds = document.layers.map(({ chainId }) => chainId);
    return {
      id,
      tags: tags.map((row) => familiarString(referenceOfTag(row))),
      digests: this.tables.digestsOf(id).map((row) => familiarString(referenceOfDigest(row))),
      config: document.config,
      sizeBytes: document.sizeBytes,
      chainId: layerChainIds.at(-1) ?? null,
      layerChainIds,
      layerSizes: document.layers.map(({ sizeBytes }) => sizeBytes),
      lastTaggedAt: tags.reduce<TagRow['taggedAt'] | null>(
        (last, { taggedAt }) => (last === null || taggedAt > last ? taggedAt : last),
        null,
      ),
    };
  }

  /** Every name of an image, tags and digests, in Docker's order (by text). */
  referencesTo(id: ImageId): readonly NamedReference[] {
    const references = [
      ...this.tables.tagsOf(id).map(referenceOfTag),
      ...this.tables.digestsOf(id).map(referenceOfDigest),
    ];
    return references.sort((a, b) => (familiarString(a) < familiarString(b) ? -1 : 1));
  }

  /** Stores an image with all content it needs (config, manifest, layers); idempotent. Part of the caller's transaction. */
  add({ id, document }: StoredImage, blobs: readonly Digest[]): void {
    this.tables.insert({ id, createdAt: this.#clock.now(), doc: JSON.stringify(document) }, blobs);
    this.#note(id);
  }

  /** Gives an image a tag. InvalidArgumentError in Docker's words. */
  setTag(id: ImageId, reference: NamedReference): void {
    assertTaggable(reference);
    this.pointTag(id, reference);
  }

  /** As {@link setTag}, for names that a registry has proved to be good. */
  pointTag(id: ImageId, reference: NamedReference): void {
    const [repository, tag] = [canonicalName(reference), reference.tag ?? 'latest'];
    this.#note(this.tables.imageTagged(repository, tag));
    this.tables.setTag({ repository, tag, imageId: id, taggedAt: this.#clock.now() });
    this.#note(id);
  }

  /** Notes under which digest a repository offers an image. */
  pointDigest(id: ImageId, reference: NamedReference, digest: Digest): void {
    const repository = canonicalName(reference);
    this.#note(this.tables.imageWithDigest(repository, digest));
    this.tables.setDigest({ repository, digest, imageId: id });
    this.#note(id);
  }

  /** Takes a name away; returns it in full (with its default tag). NotFoundError when there is no such name. */
  removeName(reference: NamedReference): NamedReference {
    const full = withDefaultTag(reference);
    const repository = canonicalName(full);
    this.#note(this.named(full));
    const removed =
      full.digest !== null
        ? this.tables.removeDigest(repository, full.digest)
        : this.tables.removeTag(repository, full.tag ?? 'latest');
    if (!removed) throw new NotFoundError(`No such image: ${familiarString(full)}`);
    return full;
  }

  /** Deletes an image without names; returns the content it needed. */
  remove(id: ImageId): readonly Digest[] {
    const blobs = this.tables.blobsOf(id);
    this.tables.remove(id);
    this.#documents.delete(id);
    this.#note(id);
    return blobs;
  }

  /** Every layer that some image stands on. */
  usedLayers(): ReadonlySet<ChainId> {
    return new Set(this.all().flatMap(({ document }) => document.layers.map(({ chainId }) => chainId)));
  }

  /** Publishes an image event with Docker's attributes: the image's labels, and `name`. */
  publish(action: string, actorId: string, name: string, image: StoredImage | null): void {
    const labels = image?.document.config.config?.Labels ?? {};
    this.#events.publish({ type: 'image', action, actorId, attributes: { ...labels, name } });
  }

  #note(id: ImageId | null): void {
    if (id !== null) this.#changed.add(id);
    if (this.#depth === 0) this.#tell();
  }

  #tell(): void {
    const ids = [...this.#changed];
    this.#changed.clear();
    for (const id of ids) for (const watcher of this.#watchers) watcher(id);
  }

  #byPrefix(ref: string): ImageId | null {
    const hex = ref.startsWith('sha256:') ? ref.slice('sha256:'.length) : ref;
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return null;
    const [first, second] = this.tables.idsWithPrefix(hex, 2);
    return first === undefined || second !== undefined ? null : first;
  }

  #remember(row: ImageRow): StoredImage {
    const document = JSON.parse(row.doc) as ImageDocument;
    this.#documents.set(row.id, document);
    return { id: row.id, document };
  }
}

/** `sha256:` and 64 digits, or the 64 digits alone: an id that can be nothing else. */
export function fullId(ref: string): ImageId | null {
  if (isDigest(ref)) return ref;
  const digest = `sha256:${ref}`;
  return isDigest(digest) ? digest : null;
}

/** InvalidArgumentError when the reference cannot be given as a tag. */
export function assertTaggable(reference: NamedReference): void {
  if (reference.digest !== null) {
    throw new InvalidArgumentError('refusing to create a tag with a digest reference');
  }
  if (familiarName(reference) === 'sha256') {
    throw new InvalidArgumentError('refusing to create an ambiguous tag using digest algorithm as name');
  }
}

/** What a tag's row names. */
export function referenceOfTag({ repository, tag }: TagRow): NamedReference {
  return { ...splitRepository(repository), tag, digest: null };
}

/** What a digest's row names. */
export function referenceOfDigest({ repository, digest }: DigestRow): NamedReference {
  return { ...splitRepository(repository), tag: null, digest };
}

function splitRepository(repository: string): { readonly domain: string; readonly path: string } {
  const slash = repository.indexOf('/');
  return { domain: repository.slice(0, slash), path: repository.slice(slash + 1) };
}
