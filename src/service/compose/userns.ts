/** User namespaces out of the configuration: whose ids containers get, looked up once as the daemon starts. */
import { readFileSync } from 'node:fs';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../base/errors.ts';
import type { UsernsOptions } from '../../engine/containers/userns/choice.ts';
import { common, without } from '../../engine/containers/userns/pool.ts';
import { whyNoUserns } from '../../engine/containers/userns/probe.ts';
import { resolveRemap, type Accounts } from '../../engine/containers/userns/remap.ts';
import { parseSubordinateIds, runsOf, type Account, type IdRun } from '../../engine/containers/userns/subordinate.ts';
import type { Kernel } from '../../engine/kernel/kernel.ts';
import type { Ground } from './rooms.ts';

/** Ids that no distribution and no systemd gives to anybody (systemd's UIDS-GIDS.md): room for 4096 containers. */
const OWN_RUN: IdRun = { first: 1_879_048_192, count: 268_435_456 };
const ENV_PROGRAM = '/usr/bin/env';
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
/** Where useradd would begin, and how many it gives to each user. */
const NEW_RANGE_FIRST = 100_000;
const NEW_RANGE_COUNT = 65_536;

/** Whose ids containers have; `whyNot` is asked at once where the daemon's own options need it. */
export async function openUserns(
  { config, kernel, logger, dataRoot }: Ground,
  storageDriver: string,
): Promise<UsernsOptions> {
  let reason: string | null | undefined;
  const whyNot = (): string | null => {
    reason ??= whyNoUserns(kernel, dataRoot, storageDriver);
    return reason;
  };
  const accounts = accountsOf(kernel);
  const wanted = config.get('userns-remap');
  const remap = wanted === '' ? null : await resolveRemap(wanted, accounts);
  if (wanted !== '' && remap === null) {
    logger.warn('User namespaces: root cannot be remapped with itself; user namespaces are OFF');
  }
  if (remap !== null)
    logger.info(`User namespaces: ID ranges will be mapped to subuid/subgid ranges of: ${remap.owner}`);
  const byDefault = config.get('default-userns-mode') === 'auto' ? 'auto' : 'remap';
  if (remap !== null || byDefault === 'auto') {
    const problem = whyNot();
    if (problem !== null) throw new UnavailableError(`user namespaces cannot be used: ${problem}`);
  }
  return {
    byDefault,
    remap: remap?.mapping ?? null,
    pool: await poolOf(config.get('userns-pool'), accounts),
    autoSize: config.get('userns-size'),
    whyNot,
  };
}

/** A user's subordinate ids, `FIRST:COUNT`, or our own run without what the files give to anybody. */
async function poolOf(text: string, accounts: Accounts): Promise<UsernsOptions['pool']> {
  const { subuid, subgid } = await accounts.ranges();
  const runs = [...parseSubordinateIds(subuid, '/etc/subuid'), ...parseSubordinateIds(subgid, '/etc/subgid')];
  const [, first, count] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (first !== undefined && count !== undefined) {
    const run = { first: Number(first), count: Number(count) };
    if (run.first === 0 || run.count === 0 || run.first + run.count > 2 ** 32 - 1) {
      throw new InvalidArgumentError(`invalid userns-pool: ${text}: not a range of ids`);
    }
    return { runs: [run], source: `userns-pool ${text}` };
  }
  if (text === '') return { runs: without([OWN_RUN], runs), source: 'the range of the engine' };
  const account = await accounts.user(text);
  if (account === null) throw new InvalidArgumentError(`invalid userns-pool: unable to find user "${text}"`);
  // An id is handed out for users and groups alike.
  const shared = common(
    runsOf(parseSubordinateIds(subuid, '/etc/subuid'), account),
    runsOf(parseSubordinateIds(subgid, '/etc/subgid'), account),
  );
  if (shared.length === 0) {
    throw new InvalidArgumentError(
      `invalid userns-pool: no ids of user "${text}" are in both /etc/subuid and /etc/subgid`,
    );
  }
  return { runs: shared, source: `the subordinate ids of ${text}` };
}

function accountsOf(kernel: Pick<Kernel, 'processes'>): Accounts {
  const run = async (...argv: readonly string[]): Promise<string | null> => {
    const ended = await kernel.processes.capture({ argv: [ENV_PROGRAM, ...argv], env: { PATH: SYSTEM_PATH } });
    if (ended.code === 0) return ended.stdout;
    // getent(1): 2 is "no such key".
    if (argv[0] === 'getent') return null;
    throw new UnavailableError(`${argv.join(' ')}: ${(ended.stderr || ended.stdout).trim()}`);
  };
  const look = async (database: 'passwd' | 'group', key: string): Promise<Account | null> => {
    const [name, , id] = (await run('getent', database, key))?.split(':') ?? [];
    return name === undefined || id === undefined ? null : { name, id: Number(id) };
  };
  return {
    user: async (key) => look('passwd', key),
    group: async (key) => look('group', key),
    create: async (name) => {
      await run('useradd', '--system', '--user-group', '--no-create-home', '--shell', '/bin/false', name);
      const { subuid, subgid } = textsOfRanges();
      await giveRange(run, name, 'uids', parseSubordinateIds(subuid, '/etc/subuid'));
      await giveRange(run, name, 'gids', parseSubordinateIds(subgid, '/etc/subgid'));
    },
    ranges: async () => textsOfRanges(),
  };
}

/** Behind what others have, as dockerd. useradd gives system users none. */
async function giveRange(
  run: (...argv: readonly string[]) => Promise<string | null>,
  name: string,
  kind: 'uids' | 'gids',
  runs: readonly IdRun[],
): Promise<void> {
  const first = Math.max(NEW_RANGE_FIRST, ...runs.map((taken) => taken.first + taken.count));
  await run('usermod', `--add-sub${kind}`, `${String(first)}-${String(first + NEW_RANGE_COUNT - 1)}`, name);
}

function textsOfRanges(): { readonly subuid: string; readonly subgid: string } {
  return { subuid: textOf('/etc/subuid'), subgid: textOf('/etc/subgid') };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
