/** Pull, import and load: long work told as a stream of progress. */
import { InvalidArgumentError, NotImplementedError } from '../../base/errors.ts';
import type { Context } from '../context.ts';
import type { Route } from '../router.ts';
import { ProgressStream } from '../stream/progress-stream.ts';
import { registryAuthOfField } from '../wire/auth.ts';
import { parsePlatform } from '../wire/platform.ts';

export const IMAGE_TRANSFER_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/images/create', handle: create },
  { method: 'POST', pattern: '/images/load', handle: load },
];

async function create(context: Context): Promise<void> {
  const { query } = context;
  const name = query.textOrNull('fromImage');
  if (name !== null) await pull(context, name);
  else await importTar(context, query.text('fromSrc'));
}

async function pull({ engine, query, version, fields, reply, signal }: Context, name: string): Promise<void> {
  const platform = version.before('1.32') ? null : parsePlatform(query.text('platform'));
  const stream = new ProgressStream(reply);
  await stream.run(async (progress) => {
    await engine.images.pull(pullReference(name, query.text('tag')), {
      platform,
      auth: registryAuthOfField(fields.get('x-registry-auth')),
      progress,
      signal,
    });
  });
}

/** `fromImage` may carry tag or digest, `tag` may be a digest; a colon at the end is left by some clients. */
function pullReference(name: string, tag: string): string {
  const repository = name.endsWith(':') ? name.slice(0, -1) : name;
  if (tag === '') return repository;
  return tag.includes(':') ? `${repository}@${tag}` : `${repository}:${tag}`;
}

async function importTar({ engine, query, body, reply, signal }: Context, source: string): Promise<void> {
  if (source === '') throw new InvalidArgumentError('invalid reference format');
  if (source !== '-')
    throw new NotImplementedError('import from an address is not supported by this version of moored');
  const repository = query.textOrNull('repo');
  const stream = new ProgressStream(reply);
  await stream.run(async (progress) => {
    const id = await engine.images.importTar(body, {
      repository,
      tag: query.textOrNull('tag'),
      message: query.textOrNull('message') ?? 'Imported from -',
      changes: query.all('changes'),
      platform: parsePlatform(query.text('platform')),
      signal,
    });
    progress({ status: id });
  });
}

async function load({ engine, query, body, reply, signal }: Context): Promise<void> {
  const stream = new ProgressStream(reply, { begun: true });
  await stream.run(async (progress) => {
    // `quiet` came with 1.23; the CLI asks for it when its output is no terminal.
    await engine.images.load(body, { quiet: query.boolean('quiet', true), progress, signal });
  });
}
