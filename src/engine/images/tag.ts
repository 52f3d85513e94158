import { InvalidArgumentError } from '../../base/errors.ts';
import { familiarString, parseReference, withDefaultTag, type NamedReference } from '../oci/reference.ts';
import { assertTaggable } from './catalog.ts';
import type { ImageContext } from './context.ts';

const TAG = /^[\w][\w.-]{0,127}$/;

/** Gives an image one more name. */
export function tagImage({ catalog }: ImageContext, ref: string, repository: string, tag: string | null): void {
  const name = withDefaultTag(nameToGive(repository, tag));
  assertTaggable(name);
  const image = catalog.lookUp(ref);
  catalog.transaction(() => catalog.setTag(image.id, name));
  catalog.publish('tag', image.id, familiarString(name), image);
}

/** `repository` with `tag` in place of its own; InvalidArgumentError in Docker's words. */
export function nameToGive(repository: string, tag: string | null): NamedReference {
  const name = parseReference(repository);
  if (tag === null || tag === '') return name;
  if (!TAG.test(tag)) throw new InvalidArgumentError('invalid tag format');
  return { ...name, tag, digest: null };
}

/** The tag for a new image (import, commit); null when it is to have none. InvalidArgumentError in Docker's words. */
export function nameForNew(repository: string | null, tag: string | null): NamedReference | null {
  if (repository === null || repository === '') return null;
  if (nameToGive(repository, null).digest !== null) throw new InvalidArgumentError('cannot import digest reference');
  const name = withDefaultTag(nameToGive(repository, tag));
  assertTaggable(name);
  return name;
}
