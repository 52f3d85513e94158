import type { Digest } from '../../oci/digest.ts';
import type { NamedReference } from '../../oci/reference.ts';
import type { ImageContext } from '../context.ts';

/**
 * Repositories (paths) of the target's registry that are known to have a blob: those where an image that it belongs to
 * was pulled from or pushed to. The nearest in name first: access to them is likeliest.
 */
export function mountSources(
  { catalog }: Pick<ImageContext, 'catalog'>,
  digest: Digest,
  target: NamedReference,
): readonly string[] {
  const prefix = `${target.domain}/`;
  const paths = catalog
    .all()
    .filter(({ document }) => document.blobs.layers.some((blob) => blob.digest === digest))
    .flatMap(({ id }) => catalog.tables.digestsOf(id))
    .filter(({ repository }) => repository.startsWith(prefix))
    .map(({ repository }) => repository.slice(prefix.length))
    .filter((path) => path !== target.path);
  return [...new Set(paths)].sort((a, b) => sharedParts(b, target.path) - sharedParts(a, target.path));
}

function sharedParts(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  const different = left.findIndex((part, index) => part !== right[index]);
  return different < 0 ? left.length : different;
}
