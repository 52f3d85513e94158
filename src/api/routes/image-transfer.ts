/** Pull, import, load and save: long work told as a stream of progress. */
import { InternalError, InvalidArgumentError, UnauthorizedError, UnavailableError } from '../../base/errors.ts';
import type { Platform } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { ProgressStream } from '../stream/progress-stream.ts';
import { registryAuthFor } from '../wire/auth.ts';
import { parsePlatform, parsePlatformJson } from '../wire/platform.ts';

export const IMAGE_TRANSFER_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/images/create', handle: create },
  { method: 'POST', pattern: '/images/load', handle: load },
  { method: 'GET', pattern: '/images/get', handle: async (context) => save(context, context.query.all('names')) },
  { method: 'GET', pattern: '/images/{name*}/get', handle: async (context) => save(context, [param(context, 'name')]) },
];

async function create(context: Context): Promise<void> {
  const { query } = context;
  const name = query.textOrNull('fromImage');
  if (name !== null) await pull(context, name);
  else await importTar(context, query.text('fromSrc'));
}

async function pull({ engine, query, version, fields, reply, signal }: Context, name: string): Promise<void> {
  const platform = version.before('1.32') ? null : parsePlatform(query.text('platform'));
  const reference = pullReference(name, query.text('tag'));
  const auth = registryAuthFor(reference, fields);
  const stream = new ProgressStream(reply);
  try {
    await stream.run(async (progress) => {
      await engine.images.pull(reference, { platform, auth, progress, signal });
    });
  } catch (error) {
    throw asDockerd(error);
  }
}

/** dockerd blames itself (500) for a registry that is not there or wants other credentials. */
function asDockerd(error: unknown): unknown {
  const isRegistrys = error instanceof UnauthorizedError || error instanceof UnavailableError;
  return isRegistrys ? new InternalError(error.message, { cause: error }) : error;
}

/** `fromImage` may carry tag or digest, `tag` may be a digest; a colon at the end is left by some clients. */
function pullReference(given: string, tag: string): string {
  const whole = given.endsWith(':') ? given.slice(0, -1) : given;
  if (tag === '') return whole;
  const [, name = '', digest = ''] = /^([^@]*?)(?::[^:/@]*)?(@.*)?$/.exec(whole) ?? [];
  if (DIGEST.test(tag)) return `${name}@${tag}`;
  if (!TAG.test(tag)) throw new InvalidArgumentError('invalid tag format');
  return `${name}:${tag}${digest}`;
}

const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

async function importTar({ engine, query, body, reply, signal }: Context, source: string): Promise<void> {
  if (source === '') throw new InvalidArgumentError('invalid reference format');
  const repository = query.textOrNull('repo');
  const stream = new ProgressStream(reply);
  await stream.run(async (progress) => {
    const id = await engine.images.importTar(source === '-' ? body : { address: source }, {
      repository,
      tag: query.textOrNull('tag'),
      message: query.text('message'),
      changes: query.all('changes'),
      platform: parsePlatform(query.text('platform')),
      progress,
      signal,
    });
    progress({ status: id });
  });
}

async function load(context: Context): Promise<void> {
  const { engine, query, body, reply, signal } = context;
  const platform = platformOf(context);
  const stream = new ProgressStream(reply, { begun: true });
  await stream.run(async (progress) => {
    // `quiet` came with 1.23; the CLI asks for it when its output is no terminal.
    await engine.images.load(body, { quiet: query.boolean('quiet', true), platform, progress, signal });
  });
}

/** What goes wrong after the first byte cuts the connection: a tar has no place for an error. */
async function save(context: Context, names: readonly string[]): Promise<void> {
  const { engine, reply, signal } = context;
  if (names.length === 0) throw new InvalidArgumentError('no image was named');
  const archive = await engine.images.save(names, { platform: platformOf(context), signal });
  const stream = reply.stream(200, 'application/x-tar');
  for await (const chunk of archive) await stream.write(chunk);
  stream.end();
}

/** `platform` of save and load is JSON, and came with 1.48. */
function platformOf({ query, version }: Context): Platform | null {
  if (version.before('1.48')) return null;
  const given = query.all('platform');
  if (given.length > 1) throw new InvalidArgumentError('multiple platform parameters not supported');
  return parsePlatformJson(given[0] ?? '');
}
