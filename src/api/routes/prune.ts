/** The prunes: each a loop over the facade's own `remove`, which refuses what is in use. */
import { ConflictError, NotFoundError } from '../../base/errors.ts';
import type { Timestamp } from '../../base/clock.ts';
import { parseTimestamp } from '../../base/clock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ImageRemoval } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import type { Route } from '../router.ts';
import { removalRow } from '../wire/image.ts';

export const PRUNE_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/containers/prune', handle: pruneContainers },
  { method: 'POST', pattern: '/images/prune', handle: pruneImages },
  { method: 'POST', pattern: '/volumes/prune', handle: pruneVolumes },
];

async function pruneContainers({ engine, query, clock, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['label', 'label!', 'until']);
  const until = untilOf(filters, clock.now());
  const removed: string[] = [];
  let reclaimed = 0;
  for (const view of engine.containers.list()) {
    const isStopped = ['created', 'exited', 'dead'].includes(view.state.status);
    if (!isStopped || !filters.matchLabels(view.spec.labels) || (until !== null && view.createdAt > until)) continue;
    const sizes = await engine.containers.sizes(view.id).catch(() => null);
    if (!(await wasRemoved(() => engine.containers.remove(view.id, { force: false, volumes: false })))) continue;
    removed.push(view.id);
    reclaimed += sizes?.writableBytes ?? 0;
  }
  reply.json(200, { ContainersDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: reclaimed });
}

async function pruneImages({ engine, query, clock, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['dangling', 'label', 'label!', 'until']);
  const until = untilOf(filters, clock.now());
  const danglingOnly = filters.boolean('dangling') ?? true;
  const used = new Set(engine.containers.list().map(({ imageId }) => imageId));
  const images = await engine.images.list({
    all: true,
    references: [],
    dangling: danglingOnly ? true : null,
    labels: [],
    before: null,
    since: null,
  });
  const removals: ImageRemoval[] = [];
  let reclaimed = 0;
  for (const image of images) {
    const created = parseTimestamp(image.config.created ?? '');
    if (used.has(image.id) || !filters.matchLabels(image.config.config?.Labels ?? {})) continue;
    if (until !== null && created !== null && created > until) continue;
    for (const ref of image.tags.length === 0 ? [image.id] : image.tags) {
      const isRemoved = await wasRemoved(async () => {
        removals.push(...(await engine.images.remove(ref, { force: false, prune: true })));
      });
      if (isRemoved) reclaimed += image.sizeBytes;
    }
  }
  const rows = removals.length === 0 ? null : removals.map(removalRow);
  reply.json(200, { ImagesDeleted: rows, SpaceReclaimed: reclaimed });
}

async function pruneVolumes({ engine, query, version, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['all', 'label', 'label!']);
  // From 1.42 named volumes stay unless `all` is asked.
  const all = version.before('1.42') || filters.boolean('all') === true;
  const removed: string[] = [];
  for (const volume of engine.volumes.list()) {
    if (!(all || volume.anonymous) || !filters.matchLabels(volume.labels)) continue;
    if (engine.volumes.usersOf(volume.name).length > 0) continue;
    if (await wasRemoved(() => engine.volumes.remove(volume.name, { force: false }))) removed.push(volume.name);
  }
  reply.json(200, { VolumesDeleted: removed, SpaceReclaimed: 0 });
}

/** False when it has gone, or is in use after all. */
async function wasRemoved(remove: () => Promise<unknown>): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof ConflictError) return false;
    throw error;
  }
}

const SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };

/** `until`: a time, seconds since 1970, or an age (`24h`, `1h30m`). Null when absent. */
function untilOf(filters: Filters, now: Timestamp): Timestamp | null {
  const [text, ...others] = filters.get('until');
  if (text === undefined) return null;
  if (others.length > 0) throw new InvalidArgumentError('more than one until filter specified');
  const age = /^(?:\d+[hms])+$/.exec(text);
  if (age !== null) {
    const seconds = [...text.matchAll(/(\d+)([hms])/g)].reduce(
      (sum, [, n, unit = 's']) => sum + Number(n) * (SECONDS[unit] ?? 1),
      0,
    );
    return (now - BigInt(seconds) * 1_000_000_000n) as Timestamp;
  }
  if (/^\d+$/.test(text)) return (BigInt(text) * 1_000_000_000n) as Timestamp;
  const time = parseTimestamp(text);
  if (time === null)
    throw new InvalidArgumentError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return time;
}
