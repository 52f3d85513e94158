/** Images as archives: out into one tar, in from one. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoText } from '../../base/errno-text.ts';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';
import type { ApiClient } from '../client.ts';
import { DaemonError, ExitError } from '../errors.ts';
import type { Stdio } from '../session.ts';
import { fileStream, platformQuery, printProgress } from './images.ts';

export interface SaveOptions {
  readonly output?: string;
  readonly platform?: string;
}

/** Writes the images to a file, or to stdout. The file appears when it is whole. */
export async function save(
  client: ApiClient,
  { stdout }: Stdio,
  names: readonly string[],
  { output, platform }: SaveOptions,
): Promise<void> {
  if (output === undefined && stdout.isTTY === true) {
    throw new ExitError(1, 'moor: cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  const archive = async (): Promise<Readable> =>
    client.stream('GET', '/images/get', { names, platform: platformQuery(platform) });
  if (output === undefined) await pipeline(await archive(), stdout, { end: false });
  else await writeWhole(archive, output);
}

/** Nothing is asked for before there is a file to write to. */
async function writeWhole(archive: () => Promise<Readable>, path: string): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.part`;
  try {
    await using file = await open(partial, 'wx', 0o600);
    await pipeline(await archive(), file.createWriteStream());
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    if (error instanceof DaemonError || error instanceof ExitError) throw error;
    const code = errnoCodeOf(error);
    throw new ExitError(1, `moor: cannot write ${path}: ${code === null ? messageOf(error) : errnoText(code)}`);
  }
}

export interface LoadOptions {
  readonly input?: string;
  readonly quiet?: boolean;
  readonly platform?: string;
}

/** Loads the images of an archive (a file, or stdin) and prints their names. */
export async function load(client: ApiClient, stdio: Stdio, options: LoadOptions): Promise<void> {
  const { input, quiet = false, platform } = options;
  const source = input === undefined || input === '-' ? stdio.stdin : await fileStream(input);
  const query = { quiet, platform: platformQuery(platform) };
  await printProgress(await client.stream('POST', '/images/load', query, source), stdio, quiet);
}
