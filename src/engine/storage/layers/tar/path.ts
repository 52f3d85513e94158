import type { ByteString } from './entry.ts';

/**
 * A name from an archive as a path below the layer's root, without `.`, `..` or slashes at either end; `` is the root
 * itself. `..` stops at the root and absolute names start there, as in the chroot that dockerd unpacks in.
 */
export function confine(name: ByteString): ByteString {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** The directory part of a confined path. */
export function parentOf(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last part of a confined path. */
export function baseOf(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}
