import { closeSync, constants, readFileSync } from 'node:fs';
import { errnoText } from '../../../../base/errno-text.ts';
import { errnoCodeOf, InvalidArgumentError } from '../../../../base/errors.ts';
import type { FileCalls } from '../../../kernel/files.ts';

/** Whose a file is. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Owner = { uid: 0, gid: 0 };

/**
 * `--chown`: numbers, or names of a root's passwd and group files; without a group the user's word is the group's, too.
 * InvalidArgumentError in Docker's words.
 */
export function lookUpOwner(files: Pick<FileCalls, 'openBeneath'>, root: string, text: string): Owner {
  const [user = '', group = user, ...more] = text.split(':');
  if (more.length > 0) throw failure(`invalid chown string format: ${text}`);
  const uid = idOf(user, () => idIn(files, root, '/etc/passwd', user), { what: 'uid', of: 'user' });
  const gid = idOf(group, () => idIn(files, root, '/etc/group', group), { what: 'gid', of: 'group' });
  return { uid, gid };
}

/** True where no file has to be asked. */
export function isNumeric(text: string): boolean {
  return /^\d+(?::\d+)?$/.test(text);
}

function idOf(
  name: string,
  lookUp: () => number | null,
  { what, of }: { readonly what: string; readonly of: string },
): number {
  if (/^[+-]?\d+$/.test(name)) {
    const id = Number(name);
    // The highest is chown(2)'s word for "as it is".
    if (id >= 0 && id < 0xffffffff) return id;
    throw failure(`can't find ${what} for ${of} ${name}: ids are numbers from 0 to 4294967294`);
  }
  try {
    const found = lookUp();
    if (found !== null) return found;
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === null) throw error;
    const file = of === 'user' ? '/etc/passwd' : '/etc/group';
    throw failure(`can't find ${what} for ${of} ${name}: open ${file}: ${errnoText(code)}`, error);
  }
  throw failure(`can't find ${what} for ${of} ${name}: no such ${of}: ${name}`);
}

/** passwd(5) and group(5): the name comes first, the id third. */
function idIn(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string, name: string): number | null {
  const fd = files.openBeneath(root, path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    for (const line of readFileSync(fd, 'utf8').split('\n')) {
      const [first, , id = ''] = line.trim().split(':');
      if (first === name && /^\d+$/.test(id)) return Number(id);
    }
    return null;
  } finally {
    closeSync(fd);
  }
}

function failure(words: string, cause?: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`unable to convert uid/gid chown string to host mapping: ${words}`, { cause });
}
