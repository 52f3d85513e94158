import { InvalidArgumentError } from '../../base/errors.ts';
import type { Engine, VolumeRecord } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import { Filters, patternMatcher } from '../filters/filters.ts';
import type { Route } from '../router.ts';
import { readJson } from '../wire/body.ts';
import { VOLUME_CREATE, volumeDocument } from '../wire/volume.ts';

export const VOLUME_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/volumes', handle: list },
  { method: 'POST', pattern: '/volumes/create', handle: create },
  { method: 'GET', pattern: '/volumes/{name}', handle: inspect },
  { method: 'DELETE', pattern: '/volumes/{name}', handle: remove },
];

const FILTERS = ['dangling', 'driver', 'label', 'name'];

function list({ engine, query, reply }: Context): void {
  const filters = Filters.from(query, FILTERS);
  const dangling = filters.boolean('dangling');
  const names = filters.get('name').map(patternMatcher);
  const volumes = engine.volumes
    .list()
    .filter((volume) => names.length === 0 || names.some((isMeant) => isMeant(volume.name)))
    .filter((volume) => matches(volume, filters, { engine, dangling }));
  reply.json(200, { Volumes: volumes.map((volume) => volumeDocument(volume)), Warnings: null });
}

function matches(
  volume: VolumeRecord,
  filters: Filters,
  { engine, dangling }: { readonly engine: Engine; readonly dangling: boolean | null },
): boolean {
  return (
    filters.any('driver', (wish) => volume.driver === wish) &&
    filters.matchLabels(volume.labels) &&
    (dangling === null || dangling === (engine.volumes.usersOf(volume.name).length === 0))
  );
}

async function create(context: Context): Promise<void> {
  const request = (await readJson(context, VOLUME_CREATE)) ?? {};
  if (Object.keys(request.ClusterVolumeSpec ?? {}).length > 0) {
    throw new InvalidArgumentError('cluster volumes are not supported: this node is not a swarm manager');
  }
  const volume = await context.engine.volumes.create({
    name: emptyToNull(request.Name),
    driver: emptyToNull(request.Driver),
    labels: request.Labels ?? {},
    options: request.DriverOpts ?? {},
  });
  context.reply.json(201, volumeDocument(volume));
}

function inspect(context: Context): void {
  context.reply.json(200, volumeDocument(context.engine.volumes.get(param(context, 'name'))));
}

async function remove(context: Context): Promise<void> {
  const { engine, query, reply } = context;
  await engine.volumes.remove(param(context, 'name'), { force: query.boolean('force') });
  reply.send(204);
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
