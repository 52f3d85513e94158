/** `--userns-remap`: from a user's name to the ids of its containers, with dockerd's rules and texts. */
import { InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import { mappingOf, type Account } from './subordinate.ts';

/** What `default` stands for. */
const DEFAULT_WORD = 'default';
const DEFAULT_USER = 'dockremap';
/** Go's ParseInt(…, 10, 32). */
const MAX_NUMBER = 2 ** 31 - 1;

/** Where names and ranges are looked up. */
export interface Accounts {
  /** By name or number; null when there is none. */
  user(nameOrId: string): Promise<Account | null>;
  group(nameOrId: string): Promise<Account | null>;
  /** Makes the user of `default` with its group and ranges. Rejects with the reason. */
  create(name: string): Promise<void>;
  /** The texts of /etc/subuid and /etc/subgid; '' where there is none. */
  ranges(): Promise<{ readonly subuid: string; readonly subgid: string }>;
}

/** Whose ids containers have. */
export interface Remap {
  /** `user:group`. */
  readonly owner: string;
  readonly mapping: IdMapping;
}

/** Null for root, whom no mapping can be given. InvalidArgumentError in Docker's words. */
export async function resolveRemap(text: string, accounts: Accounts): Promise<Remap | null> {
  const [userText = '', groupText, ...rest] = text.split(':');
  if (rest.length > 0) throw invalid(`Invalid user/group specification in --userns-remap: "${text}"`);
  const user = await userOf(userText, accounts);
  const group = await groupOf(groupText ?? null, { userText, user }, accounts);
  if (user.name === 'root') return null;
  return { owner: `${user.name}:${group}`, mapping: mappingOf(user, await accounts.ranges()) };
}

async function userOf(text: string, accounts: Accounts): Promise<Account> {
  if (isNumber(text)) {
    const user = await accounts.user(text);
    if (user === null)
      throw invalid(
        `Uid ${text} has no entry in /etc/passwd: getent unable to find entry "${text}" in passwd database`,
      );
    return user;
  }
  const name = nameMeant(text);
  const user = await accounts.user(name);
  if (user !== null) return user;
  if (text !== DEFAULT_WORD)
    throw invalid(`Error during uid lookup for "${name}": getent unable to find entry "${name}" in passwd database`);
  try {
    await accounts.create(name);
  } catch (error) {
    throw invalid(`Error during "${name}" user creation: ${messageOf(error)}`);
  }
  const made = await accounts.user(name);
  if (made === null) throw invalid(`Error during "${name}" user creation: it is not there afterwards`);
  return made;
}

async function groupOf(
  text: string | null,
  { userText, user }: { readonly userText: string; readonly user: Account },
  accounts: Accounts,
): Promise<string> {
  if (text === null) {
    // A number alone is that of the group as well; a name alone is the group's.
    const wanted = isNumber(userText) ? String(user.id) : nameMeant(userText);
    const group = await accounts.group(wanted);
    if (group !== null) return group.name;
    throw invalid(
      isNumber(userText)
        ? `Gid ${wanted} has no entry in /etc/group: getent unable to find entry "${wanted}" in group database`
        : `Error during gid lookup for "${wanted}": getent unable to find entry "${wanted}" in group database`,
    );
  }
  const group = await accounts.group(text);
  if (group !== null) return group.name;
  throw invalid(
    isNumber(text)
      ? `Gid ${text} has no entry in /etc/passwd: getent unable to find entry "${text}" in group database`
      : `Error during groupname lookup for "${text}": getent unable to find entry "${text}" in group database`,
  );
}

function nameMeant(text: string): string {
  return text === DEFAULT_WORD ? DEFAULT_USER : text;
}

function isNumber(text: string): boolean {
  return /^[+-]?\d+$/.test(text) && Math.abs(Number(text)) <= MAX_NUMBER;
}

function invalid(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}
