/**
 * Removal, by Docker's rules. A *name* is untagged; when it was the last, the image goes too. An *id* removes the image
 * if all its names lie in one repository. Containers hold their image: a stopped one until force, a running one always;
 * and so do images that were made on it. Parents that nobody needs any more go along, quietly, unless told not to.
 */
import { ConflictError, InvalidArgumentError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { ImageId } from '../oci/digest.ts';
import type { Platform } from '../oci/image-spec.ts';
import { canonicalName, familiarString, type NamedReference } from '../oci/reference.ts';
import { fullId, type StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import { assertFits } from './platforms.ts';
import type { ImageRemoval } from './types.ts';

export interface RemoveOptions {
  readonly force: boolean;
  /** Takes parents along that nobody needs any more. */
  readonly prune: boolean;
  /** NotFoundError unless the image is for it. */
  readonly platform?: Platform | null;
}

/** What was done so far. */
interface Doing {
  readonly records: ImageRemoval[];
  /** dockerd announces each name but the digests that go with their last tag. */
  announcedNames: number;
}

/** What a deleted image needed. */
type Freed = ReturnType<ImageContext['catalog']['remove']>;

/** A reason not to delete; `inUse` when it is a container. */
interface Conflict {
  readonly error: ConflictError;
  readonly inUse: boolean;
}

/** Untags or deletes; returns what was done, in order. */
export async function removeImage(
  context: ImageContext,
  ref: string,
  options: RemoveOptions,
): Promise<readonly ImageRemoval[]> {
  const { catalog } = context;
  const image = catalog.lookUp(ref);
  assertFits(ref, image.document.config, options.platform ?? null);
  const records: ImageRemoval[] = [];
  const first = await inOneGo(context, image, records, (doing) =>
    untagAndDelete(context, image, { ref, ...options }, doing),
  );
  if (!first.isDeleted || !options.prune) return records;
  let parent = first.parent;
  while (parent !== null) {
    const next = catalog.get(parent);
    if (next === null) break;
    const step = await inOneGo(context, next, records, (doing) => deleteUnneeded(context, next, doing));
    parent = step.isDeleted ? step.parent : null;
  }
  return records;
}

/** One image's part: decided and done in one transaction, then told, then its content taken away. */
async function inOneGo(
  context: ImageContext,
  image: StoredImage,
  records: ImageRemoval[],
  decide: (doing: Doing) => Freed | null,
): Promise<{ readonly isDeleted: boolean; readonly parent: ImageId | null }> {
  const { catalog, collector } = context;
  const doing: Doing = { records: [], announcedNames: 0 };
  const parent = catalog.parentOf(image);
  const freed = catalog.transaction(() => decide(doing));
  records.push(...doing.records);
  // After the transaction, so that nothing is announced that was rolled back.
  for (let left = doing.announcedNames; left > 0; left -= 1) catalog.publish('untag', image.id, image.id, image);
  if (freed === null) return { isDeleted: false, parent };
  catalog.publish('delete', image.id, image.id, null);
  const layers = image.document.layers.map(({ chainId }) => chainId);
  const gone = await collector.collect({ layers, blobs: freed });
  records.push(...gone.map((chainId): ImageRemoval => ({ deleted: chainId })));
  return { isDeleted: true, parent };
}

/** Takes one name from its image, which stays. InvalidArgumentError for an id. */
export function untagImage(context: ImageContext, ref: string): void {
  const image = context.catalog.lookUp(ref);
  if (isIdOf(image.id, ref)) throw new InvalidArgumentError(`${ref} is an image id and no name`);
  const doing: Doing = { records: [], announcedNames: 0 };
  context.catalog.transaction(() => {
    untagName(context, image.id, context.catalog.referenceOf(ref), doing);
  });
  context.catalog.publish('untag', image.id, image.id, image);
}

/** The part that decides, in one transaction. Returns the blobs of the deleted image, null when it stays. */
function untagAndDelete(
  context: ImageContext,
  image: StoredImage,
  { ref, force }: RemoveOptions & { readonly ref: string },
  doing: Doing,
): Freed | null {
  const { catalog } = context;
  const isName = !isIdOf(image.id, ref);
  const names = catalog.referencesTo(image.id);
  if (isName) {
    if (!force && isSingleReference(names)) assertUnused(context, image.id, ref);
    untagName(context, image.id, catalog.referenceOf(ref), doing);
    if (catalog.referencesTo(image.id).length > 0) return null;
  } else if (isSingleReference(names)) {
    const conflict = hardConflict(context, image.id) ?? (force ? null : usedByStopped(context, image.id));
    if (conflict !== null) throw conflict.error;
    for (const name of names) untag(context, name, doing);
  }
  const conflict = hardConflict(context, image.id) ?? (force ? null : softConflict(context, image.id));
  if (conflict !== null) {
    // The name is gone, which is what was asked; the image stays for those who use it.
    if (isName && (conflict.inUse || catalog.hasChildren(image.id))) return null;
    throw conflict.error;
  }
  return deleteImage(context, image, doing);
}

/** A parent goes without a word when it has no name and no user; else it stays without a word. */
function deleteUnneeded(context: ImageContext, image: StoredImage, doing: Doing): Freed | null {
  const conflict = hardConflict(context, image.id) ?? softConflict(context, image.id);
  return conflict === null ? deleteImage(context, image, doing) : null;
}

function deleteImage(context: ImageContext, image: StoredImage, doing: Doing): Freed {
  for (const name of context.catalog.referencesTo(image.id)) untag(context, name, doing);
  const blobs = context.catalog.remove(image.id);
  doing.records.push({ deleted: image.id });
  return blobs;
}

/** Untags one name; digests of a repository go with its last tag. */
function untagName(context: ImageContext, id: ImageId, name: NamedReference, doing: Doing): void {
  const { catalog } = context;
  untag(context, name, doing);
  if (name.digest !== null) return;
  const sameRepository = catalog.referencesTo(id).filter((other) => canonicalName(other) === canonicalName(name));
  if (sameRepository.some(({ digest }) => digest === null)) return;
  for (const digested of sameRepository) doing.records.push(removeName(context, digested));
}

function untag(context: ImageContext, name: NamedReference, doing: Doing): void {
  doing.records.push(removeName(context, name));
  doing.announcedNames += 1;
}

function removeName({ catalog }: ImageContext, name: NamedReference): ImageRemoval {
  return { untagged: familiarString(catalog.removeName(name)) };
}

/** True when `ref` is the image's id or a prefix of it and not a name. */
function isIdOf(id: ImageId, ref: string): boolean {
  return id.startsWith(ref) || id.slice('sha256:'.length).startsWith(ref) || fullId(ref) === id;
}

/** One tag at most, and all digests in its repository. */
function isSingleReference(names: readonly NamedReference[]): boolean {
  const [first] = names;
  if (first === undefined) return false;
  if (names.length === 1) return true;
  const tags = names.filter(({ digest }) => digest === null);
  if (tags.length > 1) return false;
  const repositories = new Set(names.filter(({ digest }) => digest !== null).map(canonicalName));
  return repositories.size === 1 && repositories.has(canonicalName(tags[0] ?? first));
}

function assertUnused({ users }: ImageContext, id: ImageId, ref: string): void {
  const [user] = users.containersOf(id);
  if (user === undefined) return;
  throw new ConflictError(
    `conflict: unable to remove repository reference "${ref}" (must force) - container ${shortId(user.id)} is using ` +
      `its referenced image ${shortId(id)}`,
  );
}

/** What even force does not overcome. */
function hardConflict(context: ImageContext, id: ImageId): Conflict | null {
  if (!context.catalog.hasChildren(id)) return usedByRunning(context, id);
  return conflictOf(id, 'image has dependent child images', { hard: true, inUse: false });
}

function softConflict(context: ImageContext, id: ImageId): Conflict | null {
  return stillNamed(context, id) ?? usedByStopped(context, id);
}

function usedByRunning({ users }: ImageContext, id: ImageId): Conflict | null {
  const user = users.containersOf(id).find(({ running }) => running);
  if (user === undefined) return null;
  return conflictOf(id, `image is being used by running container ${shortId(user.id)}`, { hard: true, inUse: true });
}

function usedByStopped({ users }: ImageContext, id: ImageId): Conflict | null {
  const user = users.containersOf(id).find(({ running }) => !running);
  if (user === undefined) return null;
  return conflictOf(id, `image is being used by stopped container ${shortId(user.id)}`, { hard: false, inUse: true });
}

function stillNamed({ catalog }: ImageContext, id: ImageId): Conflict | null {
  if (catalog.referencesTo(id).length === 0) return null;
  return conflictOf(id, 'image is referenced in multiple repositories', { hard: false, inUse: false });
}

function conflictOf(
  id: ImageId,
  reason: string,
  options: { readonly hard: boolean; readonly inUse: boolean },
): Conflict {
  const how = options.hard ? 'cannot be forced' : 'must be forced';
  const error = new ConflictError(`conflict: unable to delete ${shortId(id)} (${how}) - ${reason}`);
  return { error, inUse: options.inUse };
}
