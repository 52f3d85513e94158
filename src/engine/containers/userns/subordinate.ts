/** subuid(5) and subgid(5): which ids a user may hand to user namespaces. Pure. */
import type { IdMapping, LinuxIdMapping } from '../../oci/id-mapping.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';

/** `count` ids from `first` on. */
export interface IdRun {
  readonly first: number;
  readonly count: number;
}

/** One line of such a file. */
export interface SubordinateRun extends IdRun {
  /** A user's name, or the number in its place. */
  readonly owner: string;
}

/** A user as the files name it. */
export interface Account {
  readonly name: string;
  readonly id: number;
}

/** The runs of a file, in its order. InvalidArgumentError for a line that is none. */
export function parseSubordinateIds(text: string, path: string): readonly SubordinateRun[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [owner = '', first = '', count = '', ...rest] = line.split(':');
      if (owner === '' || !/^\d+$/.test(first) || !/^\d+$/.test(count) || rest.length > 0) {
        throw new InvalidArgumentError(`cannot parse subuid/gid information. Format not correct for ${path} file`);
      }
      return { owner, first: Number(first), count: Number(count) };
    });
}

/** The runs of one user, by name or number, lowest first: dockerd's order, in which they are laid side by side. */
export function runsOf(runs: readonly SubordinateRun[], { name, id }: Account): readonly IdRun[] {
  return runs
    .filter(({ owner }) => owner === name || owner === String(id))
    .map(({ first, count }) => ({ first, count }))
    .sort((a, b) => a.first - b.first);
}

/** What the files give a user, from id 0 inside. InvalidArgumentError in Docker's words when one gives it nothing. */
export function mappingOf(account: Account, files: { readonly subuid: string; readonly subgid: string }): IdMapping {
  return {
    uids: sideBySide(account, 'subuid', files.subuid),
    gids: sideBySide(account, 'subgid', files.subgid),
  };
}

function sideBySide(account: Account, file: 'subuid' | 'subgid', text: string): readonly LinuxIdMapping[] {
  const runs = runsOf(parseSubordinateIds(text, `/etc/${file}`), account);
  if (runs.length === 0) {
    throw new InvalidArgumentError(`Can't create ID mappings: no ${file} ranges found for user "${account.name}"`);
  }
  let containerID = 0;
  return runs.map(({ first, count }) => {
    const run = { containerID, hostID: first, size: count };
    containerID += count;
    return run;
  });
}
