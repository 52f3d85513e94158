/**
 * A git repository as a context, by the program `git`: no shell, no prompt, no hook, none of the host's settings, and no
 * protocol but those of the network (`ext::` runs commands, `file://` reads the host).
 */
import { constants, existsSync } from 'node:fs';
import { readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../../base/errors.ts';
import { shownUrl } from '../../registry/shown-url.ts';
import { withRoomOnDisk } from '../../storage/disk-guard.ts';
import { parseGitAddress, type GitAddress } from './git-address.ts';
import type { ContextOptions, GitOptions } from './options.ts';
import { closeDescriptor } from './own-files.ts';

const SETTINGS = [
  'protocol.allow=never',
  'protocol.git.allow=always',
  'protocol.http.allow=always',
  'protocol.https.allow=always',
  'protocol.ssh.allow=always',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'credential.helper=',
  'gc.auto=0',
  'init.defaultBranch=master',
  'advice.detachedHead=false',
].flatMap((setting) => ['-c', setting]);

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/dev/null',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_PROTOCOL_FROM_USER: '0',
  GIT_LFS_SKIP_SMUDGE: '1',
  // A server that has fallen silent.
  GIT_HTTP_LOW_SPEED_LIMIT: '1',
  GIT_HTTP_LOW_SPEED_TIME: '60',
};
const SSH = 'ssh -o BatchMode=yes -o ConnectTimeout=30';
/** A Dockerfile, and a repository with its submodules, may come from anybody: what root can open is not theirs. */
const SSH_WITHOUT_KEYS = `${SSH} -F none -o IdentityFile=none -o IdentityAgent=none`;
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
const MOST_TOLD = 2000;

/**
 * Fetches one commit of the repository into the empty directory `place`; where in it the context is. Its own records (`.git`)
 * are not part of that unless `keepsRecords`. InvalidArgumentError with what git says; UnavailableError when it is not installed.
 */
export async function fetchRepository(
  { git, files, clock }: Pick<ContextOptions, 'git' | 'files' | 'clock'>,
  {
    address,
    place,
    keepsRecords = false,
    isAskedFor = false,
  }: {
    readonly address: string;
    readonly place: string;
    readonly keepsRecords?: boolean;
    /** By the request itself: `ssh` has the keys of the host's root, as with dockerd. */
    readonly isAskedFor?: boolean;
  },
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  const wanted = parseGitAddress(address);
  const program = git.program();
  if (program === null) {
    throw new UnavailableError(
      `unable to fetch ${shownUrl(wanted.remote)}: the program git is not installed: install the package git`,
    );
  }
  const hasKeys = isAskedFor && /^(?:ssh:\/\/|git@)/.test(wanted.remote);
  const ssh = hasKeys ? SSH : SSH_WITHOUT_KEYS;
  await withRoomOnDisk({ root: place, clock, signal }, async (bounded) =>
    new Repository(git, { program, place, ssh, signal: bounded }).receive(wanted),
  );
  const root = wanted.directory === '' ? place : await directoryIn(files, place, wanted.directory);
  if (!keepsRecords) await rm(join(place, '.git'), { recursive: true, force: true });
  return root;
}

interface Place {
  readonly program: string;
  readonly place: string;
  /** `GIT_SSH_COMMAND`. */
  readonly ssh: string;
  readonly signal: AbortSignal;
}

class Repository {
  readonly #git: GitOptions;
  readonly #at: Place;

  constructor(git: GitOptions, at: Place) {
    this.#git = git;
    this.#at = at;
  }

  /** Null when it was done; else what git says. */
  async try(args: readonly string[]): Promise<string | null> {
    const { program, place, ssh, signal } = this.#at;
    const run = await this.#git.processes.capture(
      {
        argv: [program, ...SETTINGS, ...args],
        env: { ...ENVIRONMENT, GIT_SSH_COMMAND: ssh, ...this.#git.environment() },
        cwd: place,
        newSession: true,
      },
      { signal },
    );
    return run.code === 0 ? null : told(`${run.stdout}${run.stderr}`);
  }

  async must(what: string, args: readonly string[]): Promise<void> {
    const fault = await this.try(args);
    if (fault !== null) throw new InvalidArgumentError(`${what}: ${fault}`);
  }

  /** Fetches and checks out, with submodules. */
  async receive(wanted: GitAddress): Promise<void> {
    await this.must('failed to init repo', ['init', '--quiet', '--template=']);
    await this.must('failed add origin repo', ['remote', 'add', 'origin', wanted.remote]);
    await this.fetch(wanted);
    await this.checkOut(wanted.ref);
    if (!existsSync(join(this.#at.place, '.gitmodules'))) return;
    const update = ['submodule', 'update', '--init', '--recursive', '--depth=1'];
    await this.must('error initializing submodules', update);
  }

  /** As little as the server lets: old ones know neither single commits nor shallow histories. */
  async fetch({ ref }: GitAddress): Promise<void> {
    const wanted = ref === '' ? 'HEAD' : ref;
    const fault = await this.try(['fetch', '--quiet', '--depth=1', 'origin', '--', wanted]);
    if (fault === null) return;
    if (
      fault.includes('dumb http transport') &&
      (await this.try(['fetch', '--quiet', 'origin', '--', wanted])) === null
    )
      return;
    const isCommit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);
    if (
      isCommit &&
      (await this.try(['fetch', '--quiet', '--tags', 'origin', '+refs/heads/*:refs/remotes/origin/*'])) === null
    )
      return;
    throw new InvalidArgumentError(`error fetching: ${fault}`);
  }

  /** By its name, if that is one here: the branch is known by it then. */
  async checkOut(ref: string): Promise<void> {
    const isCommit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);
    if (isCommit && (await this.try(['checkout', '--quiet', ref, '--'])) === null) return;
    await this.must(`error checking out ${ref}`, ['checkout', '--quiet', 'FETCH_HEAD', '--']);
  }
}

/** Links in the repository lead inside of it. */
async function directoryIn(files: ContextOptions['files'], place: string, directory: string): Promise<string> {
  try {
    const fd = files.openBeneath(place, directory, OPEN_DIRECTORY);
    try {
      return await readlink(`/proc/self/fd/${String(fd)}`);
    } finally {
      await closeDescriptor(fd);
    }
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOTDIR')
      throw new InvalidArgumentError(`error setting git context, not a directory: ${directory}`, { cause: error });
    throw new InvalidArgumentError(`error setting git context, ${JSON.stringify(directory)} not within git root`, {
      cause: error,
    });
  }
}

function told(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' ? 'git ended without a word' : trimmed.slice(0, MOST_TOLD);
}
