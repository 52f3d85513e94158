import { InvalidArgumentError } from '../../base/errors.ts';

const PROPAGATIONS: ReadonlySet<string> = new Set(['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']);

/** Docker's frame around what is wrong with a mount. */
export function mountConfigError(type: string, problem: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid mount config for type ${JSON.stringify(type)}: ${problem}`);
}

/** The target, cleaned; InvalidArgumentError when it is missing, relative, or the root. */
export function checkTarget(type: string, target: string): string {
  if (target === '') throw mountConfigError(type, 'field Target must not be empty');
  const clean = checkAbsolute(type, target);
  if (clean === '/') throw mountConfigError(type, "invalid specification: destination can't be '/'");
  return clean;
}

/** The path, cleaned; InvalidArgumentError when it is relative. */
export function checkAbsolute(type: string, path: string): string {
  if (!path.startsWith('/')) throw mountConfigError(type, `invalid mount path: '${path}' mount path must be absolute`);
  return cleanPath(path);
}

/** Go's `path.Clean` for absolute paths. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** A propagation that the kernel knows. */
export function isPropagation(word: string): boolean {
  return PROPAGATIONS.has(word);
}
