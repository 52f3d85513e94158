import { secondsOf } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import type { ApiClient } from '../client.ts';
import { segment } from '../client.ts';
import { DaemonError, ExitError } from '../errors.ts';
import { listOf, numberOf, objectOf, textOf, textsOf } from '../json.ts';
import { copyOutput } from '../session.ts';
import type { Stdio } from '../session.ts';
import { age, shortId, table } from '../table.ts';

/** The longest command that `ps` shows, quotes left out: docker's own cut. */
const COMMAND_LENGTH_MAX = 20;

export interface PsOptions {
  readonly all?: boolean;
  readonly quiet?: boolean;
  /** False under `--no-trunc`. */
  readonly trunc?: boolean;
}

/** Prints the running containers, or all of them. */
export async function ps(client: ApiClient, { stdout }: Stdio, clock: Clock, options: PsOptions): Promise<void> {
  const list = listOf(await client.get('/containers/json', { all: options.all === true }));
  const cut = options.trunc !== false;
  const id = (row: JsonObject): string => (cut ? shortId(textOf(row['Id'])) : textOf(row['Id']));
  if (options.quiet === true) {
    stdout.write(list.map((row) => `${id(row)}\n`).join(''));
    return;
  }
  const now = secondsOf(clock.now());
  const rows = list.map((row) => [
    id(row),
    textOf(row['Image']),
    `"${cut ? shorten(textOf(row['Command'])) : textOf(row['Command'])}"`,
    age(now - numberOf(row['Created'])),
    textOf(row['Status']),
    ports(row),
    textsOf(row['Names'])
      .map((name) => name.replace(/^\//, ''))
      // As docker ps: the names of links only when nothing is cut.
      .filter((name) => !cut || !name.includes('/'))
      .join(','),
  ]);
  stdout.write(table(['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'PORTS', 'NAMES'], rows));
}

function shorten(command: string): string {
  return command.length > COMMAND_LENGTH_MAX ? `${command.slice(0, COMMAND_LENGTH_MAX - 1)}…` : command;
}

function ports(row: JsonObject): string {
  return listOf(row['Ports'])
    .map(({ IP, PublicPort, PrivatePort, Type }) => {
      const inside = `${textOf(PrivatePort)}/${textOf(Type)}`;
      const address = textOf(IP).includes(':') ? `[${textOf(IP)}]` : textOf(IP);
      return numberOf(PublicPort) === 0 ? inside : `${address}:${textOf(PublicPort)}->${inside}`;
    })
    .join(', ');
}

export interface LogsOptions {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly tail?: string;
  readonly since?: string;
}

/** Prints what the container wrote, and under `-f` what it goes on to write. */
export async function logs(client: ApiClient, stdio: Stdio, container: string, options: LogsOptions): Promise<void> {
  const path = `/containers/${segment(container)}`;
  const config = objectOf(objectOf(await client.get(`${path}/json`))['Config']);
  const answer = await client.stream('GET', `${path}/logs`, {
    stdout: true,
    stderr: true,
    follow: options.follow === true,
    timestamps: options.timestamps === true,
    tail: options.tail ?? 'all',
    since: options.since,
  });
  await copyOutput(answer, stdio, config['Tty'] === true);
}

/** Stops each container; see {@link each}. */
export async function stop(client: ApiClient, stdio: Stdio, names: readonly string[], timeS?: string): Promise<void> {
  await each(stdio, names, async (name) => client.post(`/containers/${segment(name)}/stop`, { t: timeS }));
}

/** Removes each container; see {@link each}. */
export async function remove(
  client: ApiClient,
  stdio: Stdio,
  names: readonly string[],
  { force = false, volumes = false }: { readonly force?: boolean; readonly volumes?: boolean },
): Promise<void> {
  await each(stdio, names, async (name) => {
    try {
      await client.delete(`/containers/${segment(name)}`, { force, v: volumes });
    } catch (error) {
      // As docker: forced, a container that is not there is an error told, but not a failure.
      if (!(force && error instanceof DaemonError && error.status === 404)) throw error;
      stdio.stderr.write(`${error.message}\n`);
      return 'silent';
    }
    return null;
  });
}

/** Does one thing to each name, prints the name when done, tells each failure, and fails at the end if any did. */
async function each(stdio: Stdio, names: readonly string[], act: (name: string) => Promise<unknown>): Promise<void> {
  let failed = false;
  for (const name of names) {
    try {
      if ((await act(name)) !== 'silent') stdio.stdout.write(`${name}\n`);
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      failed = true;
      stdio.stderr.write(`${error.message}\n`);
    }
  }
  if (failed) throw new ExitError(1);
}
