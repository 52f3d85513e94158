import { parseTimestamp, type Timestamp } from '../../base/clock.ts';
import { compileGlob } from '../../base/go-glob.ts';
import { hasLabel } from '../../base/labels.ts';
import { parseUntil } from '../../base/until.ts';
import { familiarName, familiarString, type NamedReference } from '../oci/reference.ts';
import { referenceOfDigest, referenceOfTag, type ImageNames, type StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import type { ImageDocument } from './record.ts';
import type { ImageFilter, ImageView } from './types.ts';

const NAMELESS: ImageNames = { tags: [], digests: [] };

/** Images that meet all conditions, newest first. A `reference` condition also hides the names that do not match. */
export function listImages({ catalog, clock }: ImageContext, filter: ImageFilter): readonly ImageView[] {
  const createdOf = (ref: string): Timestamp | null => createdAt(catalog.lookUp(ref));
  const untils = filter.until.map((text) => parseUntil(text, clock.now()));
  const earliest = lowest([...filter.before.map(createdOf), ...untils]);
  const latest = highest(filter.since.map(createdOf));
  const isShownName = nameMatcher(filter.references);
  const isWanted = (image: StoredImage): boolean =>
    isBetween(createdAt(image), latest, earliest) && isLabelled(image, filter);
  const allNames = catalog.allNames();
  return catalog
    .all()
    .filter(isWanted)
    .flatMap((image) => {
      const names = allNames.get(image.id) ?? NAMELESS;
      const shown = {
        tags: names.tags.filter((row) => isShownName(referenceOfTag(row))),
        digests: names.digests.filter((row) => isShownName(referenceOfDigest(row))),
      };
      const isParent = catalog.hasChildren(image.id);
      if (!isShown(shown, isParent, filter)) return [];
      return [{ created: createdAt(image) ?? NEVER, view: catalog.view(image, shown) }];
    })
    .sort((a, b) => (a.created === b.created ? 0 : a.created > b.created ? -1 : 1))
    .map(({ view }) => view);
}

/** Where an image that does not say when it was made stands: last. */
const NEVER = 0n as Timestamp;

/** dockerd's rule for images without a (matching) name, and for the `dangling` filter. */
function isShown({ tags, digests }: ImageNames, isParent: boolean, filter: ImageFilter): boolean {
  if (filter.dangling === true && (isParent || tags.length > 0)) return false;
  if (tags.length > 0 || digests.length > 0) return true;
  return filter.references.length === 0 && filter.dangling !== false && (filter.all || !isParent);
}

/** An image that does not say when it was made lies on no side of any bound. */
function isBetween(created: Timestamp | null, since: Timestamp | null, before: Timestamp | null): boolean {
  if (since === null && before === null) return true;
  return created !== null && (before === null || created < before) && (since === null || created > since);
}

function isLabelled({ document }: StoredImage, { labels, withoutLabels }: ImageFilter): boolean {
  const own = document.config.config?.Labels ?? {};
  return labels.every((wish) => hasLabel(own, wish)) && !withoutLabels.some((wish) => hasLabel(own, wish));
}

/** Go's patterns, each on the name with its tag or digest, and on the name alone. */
function nameMatcher(references: readonly string[]): (reference: NamedReference) => boolean {
  const patterns = references.map(compileGlob);
  return (reference) =>
    patterns.length === 0 ||
    patterns.some((matches) => matches(familiarString(reference)) || matches(familiarName(reference)));
}

function lowest(times: readonly (Timestamp | null)[]): Timestamp | null {
  return known(times).reduce<Timestamp | null>((low, time) => (low === null || time < low ? time : low), null);
}

function highest(times: readonly (Timestamp | null)[]): Timestamp | null {
  return known(times).reduce<Timestamp | null>((high, time) => (high === null || time > high ? time : high), null);
}

function known(times: readonly (Timestamp | null)[]): readonly Timestamp[] {
  return times.filter((time) => time !== null);
}

/** Parsed once: documents never change. */
const CREATED = new WeakMap<ImageDocument, Timestamp | null>();

function createdAt({ document }: StoredImage): Timestamp | null {
  const known = CREATED.get(document);
  if (known !== undefined) return known;
  const created = parseTimestamp(document.config.created ?? '');
  CREATED.set(document, created);
  return created;
}
