import { InvalidArgumentError } from '../../base/errors.ts';
import { familiarString, parseReference, withDefaultTag, type NamedReference } from '../oci/reference.ts';
import type { ImageContext } from './context.ts';

const TAG = /^[\w][\w.-]{0,127}$/;

/** Gives an image one more name. */
export function tagImage({ catalog }: ImageContext, ref: string, repository: string, tag: string | null): void {
  const image = catalog.lookUp(ref);
  const name = withDefaultTag(nameToGive(repository, tag));
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
