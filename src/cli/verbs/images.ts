import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { secondsOf } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import type { ApiClient } from '../client.ts';
import { ExitError } from '../errors.ts';
import { listOf, numberOf, objectOf, parseJson, textOf, textsOf } from '../json.ts';
import type { Stdio } from '../session.ts';
import { age, shortId, size, table } from '../table.ts';

const NONE = '<none>';

/** Prints the images, newest first. */
export async function images(
  client: ApiClient,
  { stdout }: Stdio,
  clock: Clock,
  { all = false, quiet = false }: { readonly all?: boolean; readonly quiet?: boolean },
): Promise<void> {
  const list = listOf(await client.get('/images/json', { all }));
  if (quiet) {
    stdout.write([...new Set(list.map(({ Id }) => shortId(textOf(Id))))].map((id) => `${id}\n`).join(''));
    return;
  }
  const now = secondsOf(clock.now());
  const rows = list.flatMap((image) =>
    names(image).map(([repository, tag]) => [
      repository,
      tag,
      shortId(textOf(image['Id'])),
      age(now - numberOf(image['Created'])),
      size(numberOf(image['Size'])),
    ]),
  );
  stdout.write(table(['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE'], rows));
}

function names(image: JsonObject): readonly (readonly [string, string])[] {
  const tags = textsOf(image['RepoTags']).filter((tag) => tag !== `${NONE}:${NONE}`);
  if (tags.length > 0)
    return tags.map((tag) => [tag.slice(0, tag.lastIndexOf(':')), tag.slice(tag.lastIndexOf(':') + 1)]);
  const repository = textsOf(image['RepoDigests'])[0]?.split('@')[0] ?? NONE;
  return [[repository, NONE]];
}

/** Pulls an image and prints what happens, a line a step. */
export async function pull(
  client: ApiClient,
  stdio: Stdio,
  reference: string,
  { platform, quiet = false }: { readonly platform?: string; readonly quiet?: boolean },
): Promise<void> {
  const { name, tag } = splitReference(reference);
  const answer = await client.stream('POST', '/images/create', { fromImage: name, tag, platform });
  await printProgress(answer, stdio, quiet);
  if (quiet) stdio.stdout.write(`${name}${tag.includes(':') ? '@' : ':'}${tag}\n`);
}

export interface PushOptions {
  readonly allTags?: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
}

/** Uploads an image, or all tags of a repository, and prints what happens, a line a step. */
export async function push(
  client: ApiClient,
  stdio: Stdio,
  reference: string,
  { allTags = false, platform, quiet = false }: PushOptions,
): Promise<void> {
  if (reference.includes('@')) throw new ExitError(1, 'cannot push a digest reference');
  const { name, tag } = splitReference(reference);
  const isTagged = reference !== name;
  if (allTags && isTagged) throw new ExitError(1, "tag can't be used with --all-tags/-a");
  if (!allTags && !isTagged && !quiet) stdio.stdout.write(`Using default tag: ${tag}\n`);
  const query = { tag: allTags ? undefined : tag, platform: platformQuery(platform) };
  await printProgress(await client.stream('POST', `/images/${pathOf(name)}/push`, query), stdio, quiet);
  if (quiet) stdio.stdout.write(`${allTags ? name : `${name}:${tag}`}\n`);
}

/** Makes an image of one tar archive (a file, `-` for stdin, or an address that the engine fetches) and prints its id. */
export async function importImage(
  client: ApiClient,
  stdio: Stdio,
  file: string,
  reference: string | undefined,
  { change, message, platform }: ImportOptions,
): Promise<void> {
  const { name, tag } = reference === undefined ? { name: undefined, tag: undefined } : splitReference(reference);
  const isAddress = /^https?:\/\//.test(file);
  const query = { fromSrc: isAddress ? file : '-', repo: name, tag, message, platform, changes: change };
  const source = isAddress ? undefined : file === '-' ? stdio.stdin : await fileStream(file);
  await printProgress(await client.stream('POST', '/images/create', query, source), stdio, false);
}

export interface ImportOptions {
  readonly change: readonly string[];
  readonly message?: string;
  readonly platform?: string;
}

/** A file to be sent. */
export async function fileStream(path: string): Promise<Readable> {
  try {
    await using handle = await open(path);
    await handle.stat();
  } catch {
    throw new ExitError(1, `open ${path}: no such file or directory`);
  }
  return createReadStream(path);
}

/** Reads the daemon's records, one JSON object a line; steps that only count bytes are left out. */
export async function printProgress(answer: Readable, { stdout }: Stdio, quiet: boolean): Promise<void> {
  for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    const record = objectOf(parseJson(line));
    const failure = textOf(record['error']) || textOf(objectOf(record['errorDetail'])['message']);
    if (failure !== '') throw new ExitError(1, failure);
    const counting = numberOf(objectOf(record['progressDetail'])['total']) > 0;
    if (counting || (quiet && record['stream'] === undefined)) continue;
    const text = textOf(record['stream']);
    if (text !== '') {
      stdout.write(text);
      continue;
    }
    const [id, status] = [textOf(record['id']), textOf(record['status'])];
    // Not all records are for people: the last of a push is for programs.
    if (status !== '') stdout.write(`${id === '' ? '' : `${id}: `}${status}\n`);
  }
}

/** Name and tag or digest; no tag means `latest`. */
export function splitReference(reference: string): { readonly name: string; readonly tag: string } {
  const digest = reference.indexOf('@');
  if (digest >= 0) return { name: reference.slice(0, digest), tag: reference.slice(digest + 1) };
  const colon = reference.lastIndexOf(':');
  if (colon > reference.lastIndexOf('/')) return { name: reference.slice(0, colon), tag: reference.slice(colon + 1) };
  return { name: reference, tag: 'latest' };
}

/** Slashes of a name stay as they are in the path. */
export function pathOf(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

/** `linux/arm64/v8` as the API wants it. */
export function platformQuery(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [os, architecture, variant] = text.split('/');
  return JSON.stringify({ os, architecture, variant });
}
