import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from '../base/errors.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';

const GROUP_FILE = '/etc/group';
const GETENT = '/usr/bin/getent';

/**
 * The number of the group that owns the API's socket: from /etc/group, else from wherever getent(1) looks (LDAP …).
 * InvalidArgumentError in dockerd's words when nobody knows it.
 */
export async function groupId(group: string, { processes }: Pick<Kernel, 'processes'>): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  const gid = gidIn(readOrEmpty(GROUP_FILE), group) ?? gidIn(await askGetent(group, processes), group);
  if (gid === null) throw new InvalidArgumentError(`group ${group} not found`);
  return gid;
}

/** `name:password:number:members` */
function gidIn(text: string, group: string): number | null {
  const gid = text
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === group)?.[2];
  return gid === undefined || !/^\d+$/.test(gid) ? null : Number(gid);
}

async function askGetent(group: string, processes: Kernel['processes']): Promise<string> {
  // A host without getent has no groups but those of the file.
  return processes.capture({ argv: [GETENT, 'group', '--', group], env: {} }).then(
    ({ stdout }) => stdout,
    () => '',
  );
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
