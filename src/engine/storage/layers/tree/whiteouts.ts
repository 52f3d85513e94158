/**
 * How a layer's archive says that something of its parents is gone (image-spec "Whiteouts", from AUFS):
 *
 * ```
 * dir/.wh.name       `dir/name` of the parents is gone
 * dir/.wh..wh..opq   everything in `dir` of the parents is gone
 * .wh..wh.…          AUFS's own bookkeeping, of no meaning in a layer
 * ```
 * They hide what parents have, never what this layer brings, whatever the order in the archive.
 */
import { InvalidArgumentError } from '../../../../base/errors.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import { baseOf, parentOf } from '../tar/path.ts';

const PREFIX = '.wh.';
const META_PREFIX = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

/** What a name in an archive means. */
export type Whiteout =
  | { readonly kind: 'none' }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'opaque'; readonly directory: ByteString }
  | { readonly kind: 'gone'; readonly path: ByteString };

/** Reads a confined path. InvalidArgumentError for a whiteout that would name its own directory or the one above. */
export function whiteoutOf(path: ByteString): Whiteout {
  const base = baseOf(path);
  if (!base.startsWith(PREFIX)) return path.startsWith(META_PREFIX) ? { kind: 'ignored' } : { kind: 'none' };
  const directory = parentOf(path);
  if (base === OPAQUE) return { kind: 'opaque', directory };
  if (base.startsWith(META_PREFIX)) return { kind: 'ignored' };
  const name = base.slice(PREFIX.length);
  if (name === '' || name === '.' || name === '..')
    throw new InvalidArgumentError(`invalid whiteout name: ${readable(base)}`);
  return { kind: 'gone', path: directory === '' ? name : `${directory}/${name}` };
}
