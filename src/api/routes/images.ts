import { InvalidArgumentError } from '../../base/errors.ts';
import { EVERY_IMAGE, layerUsers, sharedBytesOf, type ImageView, type Platform } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import { IMAGE_FILTERS, selectImages } from '../filters/images.ts';
import type { Route } from '../router.ts';
import { historyRow, imageDocument, imageRow, removalRow } from '../wire/image.ts';
import { parsePlatformJson } from '../wire/platform.ts';

/** How Compose v1 names itself. */
const COMPOSE_V1 = 'docker-compose/1.';

export const IMAGE_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/images/json', handle: list },
  { method: 'GET', pattern: '/images/{name*}/json', handle: inspect },
  { method: 'GET', pattern: '/images/{name*}/history', handle: history },
  { method: 'POST', pattern: '/images/{name*}/tag', handle: tag },
  { method: 'DELETE', pattern: '/images/{name*}', handle: remove },
];

async function list({ engine, query, version, reply }: Context): Promise<void> {
  const filters = Filters.from(query, IMAGE_FILTERS);
  // The parameter of before 1.41.
  const name = version.before('1.41') ? query.textOrNull('filter') : null;
  const kept = await selectImages(engine, filters, {
    all: query.boolean('all'),
    references: name === null ? [] : [name],
  });
  const containers = version.before('1.51') ? null : Map.groupBy(engine.containers.list(), ({ imageId }) => imageId);
  const wantsShared = !version.before('1.42') && query.boolean('shared-size');
  const users = wantsShared ? layerUsers(await engine.images.list(EVERY_IMAGE)) : null;
  const rowOf = (image: ImageView): ReturnType<typeof imageRow> =>
    imageRow(image, {
      version,
      containers: containers === null ? -1 : (containers.get(image.id)?.length ?? 0),
      sharedBytes: users === null ? -1 : sharedBytesOf(image, users),
    });
  reply.json(200, kept.map(rowOf));
}

async function inspect(context: Context): Promise<void> {
  const { engine, query, fields, version, reply } = context;
  const platform = platformOf(context, '1.49');
  // This engine keeps one platform of an image, so that there are no manifests to list.
  if (platform !== null && !version.before('1.48') && query.boolean('manifests')) {
    throw new InvalidArgumentError('conflicting options: manifests and platform options cannot both be set');
  }
  const image = engine.images.get(param(context, 'name'), platform);
  const { storageDriver } = await engine.system.info();
  const storage = await engine.images.describeStorage(image.id);
  const needsBuilderFields = fields.get('user-agent')?.startsWith(COMPOSE_V1) ?? false;
  reply.json(200, imageDocument(image, { version, storageDriver, storage, needsBuilderFields }));
}

function history(context: Context): void {
  const platform = platformOf(context, '1.48');
  context.reply.json(200, context.engine.images.history(param(context, 'name'), platform).map(historyRow));
}

function tag(context: Context): void {
  const { engine, query, reply } = context;
  engine.images.tag(param(context, 'name'), query.text('repo'), query.textOrNull('tag'));
  reply.send(201);
}

async function remove(context: Context): Promise<void> {
  const { engine, query, version, reply } = context;
  const name = param(context, 'name');
  if (name.trim() === '') throw new InvalidArgumentError('image name cannot be blank');
  const [platform = null, ...others] = version.before('1.50') ? [] : query.all('platforms').map(parsePlatformJson);
  if (others.length > 0) throw new InvalidArgumentError('multiple platforms are not supported');
  const removals = await engine.images.remove(name, {
    force: query.boolean('force'),
    prune: !query.boolean('noprune'),
    platform,
  });
  reply.json(200, removals.map(removalRow));
}

/** The parameter `platform` of versions that know it. */
function platformOf({ query, version }: Context, since: string): Platform | null {
  return version.before(since) ? null : parsePlatformJson(query.text('platform'));
}
