import { EVERY_IMAGE } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import { IMAGE_FILTERS, selectImages } from '../filters/images.ts';
import type { Route } from '../router.ts';
import { sharedBytesOf } from '../wire/disk-usage.ts';
import { historyRow, imageDocument, imageRow, removalRow } from '../wire/image.ts';

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
  const containers = engine.containers.list();
  const wantsShared = query.boolean('shared-size');
  const all = wantsShared ? await engine.images.list(EVERY_IMAGE) : [];
  reply.json(
    200,
    kept.map((image) =>
      imageRow(image, {
        version,
        containers: version.before('1.51') ? -1 : containers.filter(({ imageId }) => imageId === image.id).length,
        sharedBytes: wantsShared ? sharedBytesOf(image, all) : -1,
      }),
    ),
  );
}

async function inspect(context: Context): Promise<void> {
  const { engine, version, reply } = context;
  const image = engine.images.get(param(context, 'name'));
  const { storageDriver } = await engine.system.info();
  reply.json(200, imageDocument(image, { version, storageDriver }));
}

function history(context: Context): void {
  context.reply.json(200, context.engine.images.history(param(context, 'name')).map(historyRow));
}

function tag(context: Context): void {
  const { engine, query, reply } = context;
  engine.images.tag(param(context, 'name'), query.text('repo'), query.textOrNull('tag'));
  reply.send(201);
}

async function remove(context: Context): Promise<void> {
  const { engine, query, reply } = context;
  const removals = await engine.images.remove(param(context, 'name'), {
    force: query.boolean('force'),
    prune: !query.boolean('noprune'),
  });
  reply.json(200, removals.map(removalRow));
}
