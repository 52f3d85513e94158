import { fstatSync, readSync } from 'node:fs';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import { openFileBeneath } from './beneath.ts';
import type { ResolvedUser } from '../spec/input.ts';

/** More than any real passwd file; an image cannot make the daemon read without end. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Highest id the kernel takes (2^31 - 1 by Docker's rule). */
const MAX_ID = 2 ** 31 - 1;

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * Looks `user[:group]` (names or numbers) up in the passwd and group files of a root; `''` is root.
 * `groupAdd` are further groups by name or number. InvalidArgumentError in Docker's words for names that are not there.
 */
export function resolveUser(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string,
  user: string,
  groupAdd: readonly string[],
): ResolvedUser {
  const cut = user.indexOf(':');
  const wantedUser = cut < 0 ? user : user.slice(0, cut);
  const wantedGroup = cut < 0 ? '' : user.slice(cut + 1);
  const accounts = accountsOf(readBeneath(files, root, '/etc/passwd'));
  const groups = groupsOf(readBeneath(files, root, '/etc/group'));

  const account = findAccount(accounts, wantedUser === '' ? '0' : wantedUser);
  const uid = account?.uid ?? parseId(wantedUser) ?? 0;
  const gid = wantedGroup === '' ? (account?.gid ?? 0) : gidOf(groups, wantedGroup);
  const own =
    wantedGroup === '' && account !== null
      ? groups.filter(({ members }) => members.includes(account.name)).map((group) => group.gid)
      : [];
  const added = groupAdd.map((group) => gidOf(groups, group));
  const home = account?.home ?? '';
  return { uid, gid, additionalGids: [...new Set([gid, ...own, ...added])], home: home === '' ? '/' : home };
}

/** The account; null for a number without one. */
function findAccount(accounts: readonly Account[], wanted: string): Account | null {
  const byName = accounts.find(({ name }) => name === wanted);
  if (byName !== undefined) return byName;
  const uid = parseId(wanted);
  if (uid === null) throw new InvalidArgumentError(`unable to find user ${wanted}: no matching entries in passwd file`);
  return accounts.find((account) => account.uid === uid) ?? null;
}

function gidOf(groups: readonly Group[], wanted: string): number {
  const gid = groups.find(({ name }) => name === wanted)?.gid ?? parseId(wanted);
  if (gid === null) throw new InvalidArgumentError(`unable to find group ${wanted}: no matching entries in group file`);
  return gid;
}

function parseId(text: string): number | null {
  if (!/^\d+$/.test(text)) return null;
  const id = Number(text);
  if (id > MAX_ID) throw new InvalidArgumentError('uids and gids must be in range 0-2147483647');
  return id;
}

/** passwd(5): `name:password:uid:gid:gecos:home:shell`. */
function accountsOf(text: string): readonly Account[] {
  return linesOf(text).flatMap((line) => {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    return /^\d+$/.test(uid) ? [{ name, uid: Number(uid), gid: /^\d+$/.test(gid) ? Number(gid) : 0, home }] : [];
  });
}

/** group(5): `name:password:gid:members`. */
function groupsOf(text: string): readonly Group[] {
  return linesOf(text).flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.split(':');
    return /^\d+$/.test(gid) ? [{ name, gid: Number(gid), members: members.split(',') }] : [];
  });
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** The text of a regular file; '' when there is none. */
function readBeneath(files: Pick<FileCalls, 'openBeneath'>, root: string, path: string): string {
  using file = openFileBeneath(files, root, path);
  if (file === null) return '';
  const info = fstatSync(file.fd);
  if (!info.isFile()) return '';
  const buffer = Buffer.alloc(Math.min(info.size, MAX_FILE_BYTES));
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(file.fd, buffer, length, buffer.length - length, length);
    if (read === 0) break;
    length += read;
  }
  return buffer.toString('utf8', 0, length);
}
