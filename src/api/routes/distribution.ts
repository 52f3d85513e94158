/** Registries: sending images there, looking at what they have, finding and deleting it. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import { SEARCH_FILTERS, selectResults } from '../filters/search.ts';
import type { Route } from '../router.ts';
import { ProgressStream } from '../stream/progress-stream.ts';
import { AUTH_CONFIG, registryAuthOf, registryAuthOfField } from '../wire/auth.ts';
import { requireJson } from '../wire/body.ts';
import { distributionDocument, searchRow } from '../wire/distribution.ts';
import { parsePlatformJson } from '../wire/platform.ts';

export const DISTRIBUTION_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/images/{name*}/push', handle: push },
  { method: 'GET', pattern: '/images/search', handle: search },
  { method: 'GET', pattern: '/distribution/{name*}/json', handle: inspect },
  { method: 'DELETE', pattern: '/distribution/{name*}', handle: remove },
];

/** dockerd's, which the CLI relies on. */
const DEFAULT_SEARCH_LIMIT = 25;
const TAG = /^[\w][\w.-]{0,127}$/;

async function push(context: Context): Promise<void> {
  const { engine, query, version, reply, signal } = context;
  const reference = pushReference(param(context, 'name'), query.text('tag'));
  const platform = version.before('1.46') ? null : parsePlatformJson(query.text('platform'));
  const auth = await pushAuth(context);
  const stream = new ProgressStream(reply);
  await stream.run(async (progress) => {
    await engine.images.push(reference, { platform, auth, progress, signal });
  });
}

/** The name's own tag gives way to `tag`; without any, all tags are meant. */
function pushReference(name: string, tag: string): string {
  if (tag === '' || name.includes('@')) return name;
  if (!TAG.test(tag)) throw new InvalidArgumentError('invalid tag format');
  return `${name.replace(/:[^:/]*$/, '')}:${tag}`;
}

/** Before 1.5 the credentials were the body; a client that sends neither has none. */
async function pushAuth(context: Context): Promise<ReturnType<typeof registryAuthOf>> {
  const field = context.fields.get('x-registry-auth');
  if (field !== undefined && field !== '') return registryAuthOfField(field);
  try {
    return registryAuthOf(await requireJson(context, AUTH_CONFIG));
  } catch (error) {
    if (error instanceof InvalidArgumentError) return null;
    throw error;
  }
}

async function search(context: Context): Promise<void> {
  const { engine, query, fields, reply, signal } = context;
  const filters = Filters.from(query, SEARCH_FILTERS);
  const limit = searchLimit(query.text('limit'));
  const auth = registryAuthOfField(fields.get('x-registry-auth'));
  const select = selectResults(filters);
  const found = await engine.images.search(query.text('term'), { limit, auth, signal });
  reply.json(200, select(found).map(searchRow));
}

/** Zero is the default, as in Go where it means that nothing was said. */
function searchLimit(text: string): number {
  if (text === '') return DEFAULT_SEARCH_LIMIT;
  if (!/^[+-]?\d+$/.test(text)) {
    throw new InvalidArgumentError(
      `invalid limit specified: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }
  const limit = Number(text);
  if (limit < 0) throw new InvalidArgumentError('invalid limit specified');
  return limit === 0 ? DEFAULT_SEARCH_LIMIT : limit;
}

async function inspect(context: Context): Promise<void> {
  const { engine, fields, reply, signal } = context;
  const auth = registryAuthOfField(fields.get('x-registry-auth'));
  reply.json(200, distributionDocument(await engine.images.distribution(param(context, 'name'), { auth, signal })));
}

async function remove(context: Context): Promise<void> {
  const { engine, fields, reply, signal } = context;
  const auth = registryAuthOfField(fields.get('x-registry-auth'));
  reply.json(200, { Digest: await engine.images.removeRemote(param(context, 'name'), { auth, signal }) });
}
