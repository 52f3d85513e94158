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
import { searchList } from '../registry/names.ts';
import type { DigestRow, ImageRow, ImageTables, TagRow } from '../state/images.ts';
import { neededBlobs, type ImageDocument } from './record.ts';
import type { ImageView } from './types.ts';

/** One stored image. */
export interface StoredImage {
  readonly id: ImageId;
  readonly document: ImageDocument;
}

/** Under which names an image is known. */
export interface ImageNames {
  readonly tags: readonly TagRow[];
  readonly digests: readonly DigestRow[];
}

export class ImageCatalog {
  readonly tables: ImageTables;
  readonly #clock: Clock;
  readonly #addedRegistries: () => readonly string[];
  readonly #events: Events;
  /** Parsed documents: they never change while the image exists. */
  readonly #documents = new Map<ImageId, ImageDocument>();
  /** All of them in order; null until asked for. */
  #all: readonly StoredImage[] | null = null;
  /** The last that was added, unless something was rolled back since. */
  #newest: Pick<ImageRow, 'createdAt' | 'id'> | null = null;
  /** What all are called; null until asked for. */
  #names: ReadonlyMap<ImageId, ImageNames> | null = null;
  /** Images by the one they were made on; null until asked for. */
  #children: Map<ImageId, Set<ImageId>> | null = null;
  readonly #watchers = new Set<(id: ImageId) => void>();
  /** Changed in the transaction under way. */
  readonly #changed = new Set<ImageId>();
  #depth = 0;

  constructor(tables: ImageTables, clock: Clock, events: Events, addedRegistries: () => readonly string[] = () => []) {
    this.#addedRegistries = addedRegistries;
    this.tables = tables;
    this.#clock = clock;
    this.#events = events;
  }

  /** Calls back when an image has come, gone, or bears other names, right after its transaction. */
  watch(watcher: (id: ImageId) => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  /** Settles when what was written is there after a loss of power, too. UnavailableError when the disk fails. */
  async settled(): Promise<void> {
    await this.tables.settled();
  }

  /** Runs `job` in one transaction of the state file; nested calls join it. What changed is told after the outermost. */
  transaction<T>(job: () => T): T {
    this.#depth += 1;
    try {
      return this.tables.transaction(job);
    } catch (error) {
      // What was read or noted since its beginning has been rolled back.
      this.#documents.clear();
      this.#children = null;
      this.#all = null;
      this.#names = null;
      this.#newest = null;
      if (this.#depth === 1) this.#changed.clear();
      throw error;
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
    this.#all ??= this.tables
      .ids()
      .map((id) => this.get(id))
      .filter((image) => image !== null);
    return this.#all;
  }

  /** The image that this one was made on; null for none, and when that is not there. */
  parentOf({ document: { parent } }: StoredImage): ImageId | null {
    return parent === undefined || this.get(parent) === null ? null : parent;
  }

  /** True when other images were made on this one. */
  hasChildren(id: ImageId): boolean {
    return (this.#families().get(id)?.size ?? 0) > 0;
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
    const reference = this.referenceOf(ref);
    const found = this.named(reference) ?? this.#byPrefix(ref);
    const image = found === null ? null : this.get(found);
    if (image === null) throw new NotFoundError(`No such image: ${familiarString(withDefaultTag(reference))}`);
    return image;
  }

  /**
   * What a user's text names here. A name without a registry is docker.io's; if there is no such image, it is that of
   * the first added registry that has brought one.
   */
  referenceOf(ref: string): NamedReference {
    const plain = parseReference(ref);
    const candidates = searchList(ref, this.#addedRegistries());
    if (candidates.length === 1 || this.#isHere(plain)) return plain;
    return candidates.find((one) => this.#isHere(one)) ?? plain;
  }

  /** The image with this very name; a digest decides where there is one. */
  named(reference: NamedReference): ImageId | null {
    const repository = canonicalName(reference);
    if (reference.digest !== null) return this.tables.imageWithDigest(repository, reference.digest);
    return this.tables.imageTagged(repository, reference.tag ?? 'latest');
  }

  /** All that fronts show of an image. `names`: all it has, where the caller knows. */
  view(image: StoredImage, names: ImageNames = this.namesOf(image.id)): ImageView {
    const { id, document } = image;
    const { tags, digests } = names;
    const layerChainIds = document.layers.map(({ chainId }) => chainId);
    return {
      id,
      tags: tags.map((row) => familiarString(referenceOfTag(row))),
      digests: digests.map((row) => familiarString(referenceOfDigest(row))),
      config: document.config,
      sizeBytes: document.sizeBytes,
      chainId: layerChainIds.at(-1) ?? null,
      layerChainIds,
      layerSizes: document.layers.map(({ sizeBytes }) => sizeBytes),
      lastTaggedAt: tags.reduce<TagRow['taggedAt'] | null>(
        (last, { taggedAt }) => (last === null || taggedAt > last ? taggedAt : last),
        null,
      ),
      parent: this.parentOf(image),
    };
  }

  namesOf(id: ImageId): ImageNames {
    return { tags: this.tables.tagsOf(id), digests: this.tables.digestsOf(id) };
  }

  /** The names of all images that have one; asked of the tables once a change. */
  allNames(): ReadonlyMap<ImageId, ImageNames> {
    this.#names ??= this.#readNames();
    return this.#names;
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
  add(image: StoredImage): void {
    const { id, document } = image;
    const row = { id, createdAt: this.#clock.now(), doc: JSON.stringify(document) };
    const isNew = this.get(id) === null;
    this.tables.insert(row, neededBlobs(id, document));
    if (this.#children !== null) noteChild(this.#children, image);
    if (isNew) this.#append(row, image);
    this.#note(id);
  }

  /**
   * Notes that an image's layers lie in other blobs now, and what it needs since. Nothing that is shown of it changes, so
   * nobody is told. Part of the caller's transaction.
   */
  replace({ id, document }: StoredImage): void {
    this.tables.replace({ id, doc: JSON.stringify(document) }, neededBlobs(id, document));
    this.#documents.set(id, document);
    this.#all = null;
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
    const image = this.named(full);
    const removed =
      full.digest !== null
        ? this.tables.removeDigest(repository, full.digest)
        : this.tables.removeTag(repository, full.tag ?? 'latest');
    if (!removed) throw new NotFoundError(`No such image: ${familiarString(full)}`);
    this.#note(image);
    return full;
  }

  /** Deletes an image without names; returns the content it needed. */
  remove(id: ImageId): readonly Digest[] {
    const blobs = this.tables.blobsOf(id);
    const parent = this.get(id)?.document.parent;
    if (parent !== undefined) this.#children?.get(parent)?.delete(id);
    this.tables.remove(id);
    this.#documents.delete(id);
    this.#all = null;
    this.#note(id);
    return blobs;
  }

  /** Every layer that some image stands on, or that the build cache keeps. */
  usedLayers(): ReadonlySet<ChainId> {
    const ofImages = this.all().flatMap(({ document }) => document.layers.map(({ chainId }) => chainId));
    return new Set([...ofImages, ...this.tables.cachedLayers()]);
  }

  /** Publishes an image event with Docker's attributes: the image's labels, and `name`. */
  publish(action: string, actorId: string, name: string, image: StoredImage | null): void {
    const labels = image?.document.config.config?.Labels ?? {};
    this.#events.publish({ type: 'image', action, actorId, attributes: { ...labels, name } });
  }

  #readNames(): ReadonlyMap<ImageId, ImageNames> {
    const tags = Map.groupBy(this.tables.allTags(), ({ imageId }) => imageId);
    const digests = Map.groupBy(this.tables.allDigests(), ({ imageId }) => imageId);
    const named = new Set([...tags.keys(), ...digests.keys()]);
    return new Map([...named].map((id) => [id, { tags: tags.get(id) ?? [], digests: digests.get(id) ?? [] }]));
  }

  #isHere(reference: NamedReference): boolean {
    if (this.named(reference) !== null) return true;
    const isWhole = reference.tag === null && reference.digest === null;
    return isWhole && this.tables.tagsIn(canonicalName(reference)).length > 0;
  }

  /** Keeps the list where it is known to go on in order: many come one after another. */
  #append({ createdAt, id }: Pick<ImageRow, 'createdAt' | 'id'>, image: StoredImage): void {
    const newest = this.#newest;
    const isNext =
      newest !== null && (createdAt > newest.createdAt || (createdAt === newest.createdAt && id > newest.id));
    this.#newest = { createdAt, id };
    this.#all = isNext && this.#all !== null ? [...this.#all, image] : null;
  }

  #note(id: ImageId | null): void {
    this.#names = null;
    if (id !== null) this.#changed.add(id);
    if (this.#depth === 0) this.#tell();
  }

  #tell(): void {
    const ids = [...this.#changed];
    this.#changed.clear();
    for (const id of ids) for (const watcher of this.#watchers) watcher(id);
  }

  #families(): Map<ImageId, Set<ImageId>> {
    if (this.#children !== null) return this.#children;
    const families = new Map<ImageId, Set<ImageId>>();
    for (const image of this.all()) noteChild(families, image);
    this.#children = families;
    return families;
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

function noteChild(families: Map<ImageId, Set<ImageId>>, { id, document: { parent } }: StoredImage): void {
  if (parent === undefined) return;
  const children = families.get(parent);
  if (children === undefined) families.set(parent, new Set([id]));
  else children.add(id);
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
