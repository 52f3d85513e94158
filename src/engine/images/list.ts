import { parseTimestamp, type Timestamp } from '../../base/clock.ts';
import { hasLabel } from '../../base/labels.ts';
import { familiarName, familiarString, type NamedReference } from '../oci/reference.ts';
import type { StoredImage } from './catalog.ts';
import type { ImageContext } from './context.ts';
import { compileGlob } from './glob.ts';
import type { ImageFilter, ImageView } from './types.ts';

const NEVER = 0n as Timestamp;

/** Images that meet all conditions, newest first. A `reference` condition also hides the names that do not match. */
export function listImages({ catalog }: ImageContext, filter: ImageFilter): readonly ImageView[] {
  const before = filter.before === null ? null : createdAt(catalog.lookUp(filter.before));
  const since = filter.since === null ? null : createdAt(catalog.lookUp(filter.since));
  const patterns = filter.references.map(compileGlob);
  const matches = (reference: NamedReference): boolean =>
    patterns.length === 0 ||
    patterns.some((pattern) => pattern(familiarString(reference)) || pattern(familiarName(reference)));
  return catalog
    .all()
    .filter((image) => {
      const created = createdAt(image);
      return (before === null || created < before) && (since === null || created > since);
    })
    .filter(({ document }) => filter.labels.every((label) => hasLabel(document.config.config?.Labels ?? {}, label)))
    .flatMap((image) => {
      const names = catalog.referencesTo(image.id);
      const shown = names.filter(matches);
      const tags = shown.filter(({ digest }) => digest === null).map(familiarString);
      const digests = shown.filter(({ digest }) => digest !== null).map(familiarString);
      if (shown.length === 0 && patterns.length > 0) return [];
      const isDangling = tags.length === 0;
      if (filter.dangling === true && !isDangling) return [];
      if (filter.dangling === false && shown.length === 0) return [];
      return [{ created: createdAt(image), view: { ...catalog.view(image), tags, digests } }];
    })
    .sort((a, b) => (a.created === b.created ? 0 : a.created > b.created ? -1 : 1))
    .map(({ view }) => view);
}

function createdAt({ document }: StoredImage): Timestamp {
  return parseTimestamp(document.config.created ?? '') ?? NEVER;
}
