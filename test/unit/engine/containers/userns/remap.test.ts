import { describe, expect, it } from 'vitest';
import { resolveRemap, type Accounts } from '../../../../../src/engine/containers/userns/remap.ts';
import type { Account } from '../../../../../src/engine/containers/userns/subordinate.ts';

const USERS: readonly Account[] = [
  { name: 'root', id: 0 },
  { name: 'ann', id: 1000 },
  { name: 'lone', id: 77 },
];
const GROUPS: readonly Account[] = [
  { name: 'root', id: 0 },
  { name: 'ann', id: 1000 },
  { name: 'staff', id: 50 },
];
const RANGES = { subuid: 'ann:100000:65536\ndockremap:1:2', subgid: 'ann:200000:65536\ndockremap:3:4' };

/** A host with these users; `create` adds one, or fails with a reason. */
function host(refusal: string | null = null): Accounts {
  const users = [...USERS];
  const groups = [...GROUPS];
  const find = (among: readonly Account[], key: string): Account | null =>
    among.find(({ name, id }) => name === key || String(id) === key) ?? null;
  return {
    user: async (key) => find(users, key),
    group: async (key) => find(groups, key),
    create: async (name) => {
      if (refusal !== null) throw new Error(refusal);
      users.push({ name, id: 999 });
      groups.push({ name, id: 999 });
    },
    ranges: async () => RANGES,
  };
}

describe('--userns-remap', () => {
  it.each([
    ['ann', 'ann:ann'],
    ['ann:staff', 'ann:staff'],
    ['ann:50', 'ann:staff'],
    ['1000', 'ann:ann'],
    ['1000:50', 'ann:staff'],
  ])('%s is the user and group %s, with the user’s ranges', async (text, owner) => {
    expect(await resolveRemap(text, host())).toEqual({
      owner,
      mapping: {
        uids: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
        gids: [{ containerID: 0, hostID: 200_000, size: 65_536 }],
      },
    });
  });

  it('default is dockremap, who is made where there is none', async () => {
    const accounts = host();
    expect(await resolveRemap('default', accounts)).toMatchObject({ owner: 'dockremap:dockremap' });
    expect(await accounts.user('dockremap')).not.toBeNull();
  });

  it.each(['root', '0', '0:0'])('%s is no mapping', async (text) => {
    expect(await resolveRemap(text, host())).toBeNull();
  });

  // The texts of dockerd.
  it.each([
    ['a:b:c', 'Invalid user/group specification in --userns-remap: "a:b:c"'],
    ['nosuch', 'Error during uid lookup for "nosuch": getent unable to find entry "nosuch" in passwd database'],
    ['lone', 'Error during gid lookup for "lone": getent unable to find entry "lone" in group database'],
    ['4711', 'Uid 4711 has no entry in /etc/passwd: getent unable to find entry "4711" in passwd database'],
    ['77', 'Gid 77 has no entry in /etc/group: getent unable to find entry "77" in group database'],
    [
      'ann:nosuch',
      'Error during groupname lookup for "nosuch": getent unable to find entry "nosuch" in group database',
    ],
    ['ann:4711', 'Gid 4711 has no entry in /etc/passwd: getent unable to find entry "4711" in group database'],
    ['lone:staff', 'Can\'t create ID mappings: no subuid ranges found for user "lone"'],
  ])('%s is refused: %s', async (text, message) => {
    await expect(resolveRemap(text, host())).rejects.toThrow(message);
  });

  it('tells why the user of default could not be made', async () => {
    await expect(resolveRemap('default', host('useradd: no'))).rejects.toThrow(
      'Error during "dockremap" user creation: useradd: no',
    );
  });
});
