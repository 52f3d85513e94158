import { errnoCodeOf, messageOf, UnavailableError } from './errors.ts';

/**
 * The kernel's own sentences (strerror, lower case as Go prints them) for the errors that users meet in Docker's
 * messages: `write /var/lib/docker/x: no space left on device`.
 */
const TEXTS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBADMSG: 'bad message',
  EBUSY: 'device or resource busy',
  EDQUOT: 'disk quota exceeded',
  EEXIST: 'file exists',
  EFBIG: 'file too large',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  EMFILE: 'too many open files',
  EMLINK: 'too many links',
  ENAMETOOLONG: 'file name too long',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  ENOTSUP: 'operation not supported',
  EOPNOTSUPP: 'operation not supported',
  EPERM: 'operation not permitted',
  EROFS: 'read-only file system',
  ETXTBSY: 'text file busy',
  EXDEV: 'invalid cross-device link',
};

/** The sentence for an errno (`ENOSPC` → `no space left on device`); the code itself when it is not a common one. */
export function errnoText(code: string): string {
  return TEXTS[code] ?? code;
}

/** What was thrown, as Go's `PathError` prints it: `write /path: no space left on device`. */
export function pathErrorText(call: string, path: string, thrown: unknown): string {
  const code = errnoCodeOf(thrown);
  return `${call} ${path}: ${code === null ? messageOf(thrown) : errnoText(code)}`;
}

/** True for the errors that mean "the disk has no room": space, inodes or quota. */
export function isDiskFull(thrown: unknown): boolean {
  const code = errnoCodeOf(thrown);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** True where an error, or one that it came of, is {@link isDiskFull}'s. */
export function cameOfFullDisk(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) if (isDiskFull(error)) return true;
  return false;
}

/** Names a failed file operation as Docker does; a disk that is full, failing or read-only becomes UnavailableError. */
export function diskFault(call: string, path: string, error: unknown): unknown {
  const isDisks = isDiskFull(error) || ['EIO', 'EROFS', 'EMFILE', 'ENFILE'].includes(errnoCodeOf(error) ?? '');
  return isDisks ? new UnavailableError(pathErrorText(call, path, error), { cause: error }) : error;
}
