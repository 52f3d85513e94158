/** Names of images: giving, taking, and what stands behind one. */
import { secondsOf, type Clock } from '../../base/clock.ts';
import type { ApiClient } from '../client.ts';
import { DaemonError, ExitError } from '../errors.ts';
import { listOf, numberOf, textOf } from '../json.ts';
import type { Stdio } from '../session.ts';
import { age, shortId, size, table } from '../table.ts';
import { pathOf, splitReference } from './images.ts';

/** How much of a build step fits into a column, as docker has it. */
const STEP_WIDTH = 45;

/** Gives an image one more name. */
export async function tagImage(client: ApiClient, source: string, target: string): Promise<void> {
  const { name, tag } = splitReference(target);
  await client.post(`/images/${pathOf(source)}/tag`, { repo: name, tag });
}

/** Untags and removes images one after another; tells each failure, and fails at the end if any did. */
export async function removeImages(
  client: ApiClient,
  { stdout, stderr }: Stdio,
  names: readonly string[],
  { force = false, prune = true }: { readonly force?: boolean; readonly prune?: boolean },
): Promise<void> {
  let isFailed = false;
  for (const name of names) {
    try {
      for (const row of listOf(await client.delete(`/images/${pathOf(name)}`, { force, noprune: !prune }))) {
        const untagged = textOf(row['Untagged']);
        stdout.write(untagged === '' ? `Deleted: ${textOf(row['Deleted'])}\n` : `Untagged: ${untagged}\n`);
      }
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      // As docker: forced, an image that is not there is an error told, but not a failure.
      isFailed ||= !(force && error.status === 404);
      stderr.write(`${error.message}\n`);
    }
  }
  if (isFailed) throw new ExitError(1);
}

/** Prints the steps that an image was made by, newest first. */
export async function imageHistory(
  client: ApiClient,
  { stdout }: Stdio,
  clock: Clock,
  { name, quiet = false }: { readonly name: string; readonly quiet?: boolean },
): Promise<void> {
  const steps = listOf(await client.get(`/images/${pathOf(name)}/history`));
  if (quiet) {
    stdout.write(steps.map(({ Id }) => `${shortId(textOf(Id))}\n`).join(''));
    return;
  }
  const now = secondsOf(clock.now());
  const rows = steps.map((step) => [
    shortId(textOf(step['Id'])),
    age(now - numberOf(step['Created'])),
    shortened(textOf(step['CreatedBy']).replaceAll('\t', ' ')),
    size(numberOf(step['Size'])),
    textOf(step['Comment']),
  ]);
  stdout.write(table(['IMAGE', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], rows));
}

function shortened(text: string): string {
  return text.length <= STEP_WIDTH ? text : `${text.slice(0, STEP_WIDTH - 1)}…`;
}
