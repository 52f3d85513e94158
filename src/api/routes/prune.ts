import { InvalidArgumentError } from '../../base/errors.ts';
import { PRUNE_NOTHING, type PruneRequest, type PruneVictim } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import type { Route } from '../router.ts';
import { removalRow } from '../wire/image.ts';

export const PRUNE_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/containers/prune', handle: pruneContainers },
  { method: 'POST', pattern: '/images/prune', handle: pruneImages },
  { method: 'POST', pattern: '/networks/prune', handle: pruneNetworks },
  { method: 'POST', pattern: '/volumes/prune', handle: pruneVolumes },
];

async function pruneContainers({ engine, query, signal, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['label', 'label!', 'until']);
  const { removed, reclaimedBytes } = await engine.prune.run(requestOf(filters, { types: ['container'] }), signal);
  const ids = idsOf(removed);
  reply.json(200, { ContainersDeleted: ids.length === 0 ? null : ids, SpaceReclaimed: reclaimedBytes });
}

async function pruneImages({ engine, query, signal, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['dangling', 'label', 'label!', 'until']);
  const request = requestOf(filters, { types: ['image'], danglingOnly: filters.boolean('dangling') ?? true });
  const { imageRemovals, reclaimedBytes } = await engine.prune.run(request, signal);
  const rows = imageRemovals.length === 0 ? null : imageRemovals.map(removalRow);
  reply.json(200, { ImagesDeleted: rows, SpaceReclaimed: reclaimedBytes });
}

async function pruneNetworks({ engine, query, signal, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['label', 'label!', 'until']);
  const { removed } = await engine.prune.run(requestOf(filters, { types: ['network'] }), signal);
  reply.json(200, { NetworksDeleted: removed.length === 0 ? null : removed.map(({ name }) => name) });
}

async function pruneVolumes({ engine, query, version, signal, reply }: Context): Promise<void> {
  const filters = Filters.from(query, ['all', 'label', 'label!']);
  // From 1.42 named volumes stay unless `all` is asked.
  const namedVolumes = version.before('1.42') || filters.boolean('all') === true;
  const request = requestOf(filters, { types: ['volume'], namedVolumes });
  const { removed, reclaimedBytes } = await engine.prune.run(request, signal);
  reply.json(200, { VolumesDeleted: idsOf(removed), SpaceReclaimed: reclaimedBytes });
}

/** Docker's filters in the engine's words. */
function requestOf(filters: Filters, wanted: Partial<PruneRequest>): PruneRequest {
  const [until = null, ...others] = filters.get('until');
  if (others.length > 0) throw new InvalidArgumentError('more than one until filter specified');
  const labels = { labels: filters.get('label'), withoutLabels: filters.get('label!') };
  return { ...PRUNE_NOTHING, ...labels, until, ...wanted };
}

function idsOf(victims: readonly PruneVictim[]): readonly string[] {
  return victims.map(({ id }) => id);
}
