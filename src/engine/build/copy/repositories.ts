/** `ADD https://….git#ref:directory`: what is in a repository, with or without its records. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf, InvalidArgumentError } from '../../../base/errors.ts';
import type { FoundSource } from '../../storage/building.ts';
import type { CopiesOptions, SourceRequest } from './options.ts';

/** Narrower than the rule of contexts: a file of the build's context may be called `github.com/…`. */
export function isRepository(source: string): boolean {
  return /^https?:\/\/.*\.git(?:#.*)?$/s.test(source) || /^(?:git:\/\/|ssh:\/\/|git@[^/:]+:)/.test(source);
}

/** Fetches into the directory `place`, which is made. */
export async function addRepository(
  options: CopiesOptions,
  { address, place }: { readonly address: string; readonly place: string },
  { words, signal }: SourceRequest,
): Promise<readonly FoundSource[]> {
  const { checksum, keepGitDir, excludes } = words;
  const keepsRecords = keepGitDir || checksum !== null;
  const root = await options.fetchRepository({ address, place, keepsRecords }, signal);
  if (checksum !== null) await check(place, checksum);
  if (!keepGitDir) await rm(join(place, '.git'), { recursive: true, force: true });
  const found = await options.builder.survey(
    { verb: 'ADD', root, isContext: true, sources: ['.'], excludes, parents: false, findsArchives: false },
    signal,
  );
  return found.flat();
}

/** `--checksum`: a commit, or how its name begins. */
async function check(place: string, checksum: string): Promise<void> {
  const commit = await commitOf(join(place, '.git'));
  if (commit.startsWith(checksum) && checksum.length >= 7) return;
  throw new InvalidArgumentError(`ADD failed: expected checksum to match ${checksum}, got ${commit}`);
}

async function commitOf(records: string): Promise<string> {
  const head = (await readFile(join(records, 'HEAD'), 'utf8')).trim();
  const branch = /^ref: (refs\/[^\0]+)$/.exec(head)?.[1];
  if (branch === undefined) return head;
  try {
    return (await readFile(join(records, branch), 'utf8')).trim();
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
