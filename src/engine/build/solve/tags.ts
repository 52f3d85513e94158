import { InvalidArgumentError } from '../../../base/errors.ts';
import { assertTaggable } from '../../images/catalog.ts';
import { canonicalName, parseReference, withDefaultTag, type NamedReference } from '../../oci/reference.ts';

/** Names that a build is to give, each once. InvalidArgumentError in Docker's words. */
export function tagsOf(texts: readonly string[]): readonly NamedReference[] {
  const names = new Map<string, NamedReference>();
  for (const text of texts) {
    if (text === '') continue;
    const reference = parseReference(text);
    if (reference.digest !== null) throw new InvalidArgumentError('build tag cannot contain a digest');
    const name = withDefaultTag(reference);
    assertTaggable(name);
    const key = `${canonicalName(name)}:${name.tag ?? ''}`;
    if (!names.has(key)) names.set(key, name);
  }
  return [...names.values()];
}
