/**
 * The prune room: what nobody uses goes. It stands above containers, since an unused image is one that no container
 * uses, and acts only through the rooms' own `remove`, which have the last word.
 */
import type { Clock } from '../../base/clock.ts';
import { ConflictError, ForbiddenError, NotFoundError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { ImageRemoval } from '../images/types.ts';
import { cacheRequestOf, select, type ImageVictim, type PruneRooms } from './select.ts';
import type { Prune, PruneRequest, PruneVictim } from './types.ts';

export interface PruneDependencies extends PruneRooms {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
  readonly events: Pick<Events, 'publish'>;
}

/** What Docker announces a prune of, and as what. */
const ANNOUNCED = [
  ['container', 'container'],
  ['network', 'network'],
  ['volume', 'volume'],
  ['image', 'image'],
  ['build-cache', 'builder'],
] as const;

/** Makes the room. */
export function createPrune(dependencies: PruneDependencies): Prune {
  const { clock, logger, events, containers, images, networks, volumes } = dependencies;
  return {
    async preview(request) {
      const selection = await select(dependencies, request, clock.now());
      const { containers: stopped, networks: unused, volumes: free, images: old, cache } = selection;
      const victims = [...stopped, ...unused, ...free, ...old.map(({ victim }) => victim), ...cache];
      return { victims, reclaimableBytes: sumOf(victims) };
    },

    async run(request, signal, { onRemoved = () => {}, isEnough = async () => false, isQuiet = false } = {}) {
      signal.throwIfAborted();
      const selection = await select(dependencies, request, clock.now());
      const removed: PruneVictim[] = [];
      const imageRemovals: ImageRemoval[] = [];
      const note = (victim: PruneVictim): void => {
        removed.push(victim);
        onRemoved(victim);
      };
      const take = async (victim: PruneVictim, remove: () => Promise<unknown>): Promise<void> => {
        signal.throwIfAborted();
        if (await wasRemoved(remove)) note(victim);
      };
      const takeImage = async ({ victim, references }: ImageVictim): Promise<void> => {
        const rows: ImageRemoval[] = [];
        for (const reference of references) {
          signal.throwIfAborted();
          await wasRemoved(async () => {
            rows.push(...(await images.remove(reference, { force: false, prune: true })));
          });
        }
        imageRemovals.push(...rows);
        if (rows.length > 0) note({ ...victim, bytes: bytesOf(rows, selection.layerBytes) });
      };
      for (const victim of selection.containers) {
        await take(victim, () => containers.remove(victim.id, { force: false, volumes: false }));
      }
      for (const victim of selection.networks) await take(victim, () => networks.remove(victim.id));
      for (const victim of selection.volumes) await take(victim, () => volumes.remove(victim.id, { force: false }));
      for (const image of selection.images) {
        if (await isEnough()) break;
        await takeImage(image);
      }
      const cacheBytes = await takeCache(dependencies, request, { victims: selection.cache, signal, note });
      const reclaimedBytes = sumOf(removed.filter(({ type }) => type !== 'build-cache')) + cacheBytes;
      for (const [pruned, type] of ANNOUNCED) {
        const own = removed.filter((victim) => victim.type === pruned);
        if (!request.types.includes(pruned) || (isQuiet && own.length === 0)) continue;
        const attributes = { reclaimed: String(pruned === 'build-cache' ? cacheBytes : sumOf(own)) };
        events.publish({ type, action: 'prune', actorId: '', attributes });
      }
      if (!isQuiet) {
        const types = request.types.join(',');
        logger.info('pruned', { message: 'prune', types, count: removed.length, reclaimedBytes });
      }
      return { removed, imageRemovals, reclaimedBytes };
    },
  };
}

/** All at once: only the cache knows what becomes free with the last that stands on it. Returns the bytes that came free. */
async function takeCache(
  { builds }: PruneDependencies,
  request: PruneRequest,
  options: {
    readonly victims: readonly PruneVictim[];
    readonly signal: AbortSignal;
    readonly note: (victim: PruneVictim) => void;
  },
): Promise<number> {
  if (options.victims.length === 0) return 0;
  options.signal.throwIfAborted();
  const { removed, reclaimedBytes } = await builds.pruneCache(cacheRequestOf(request), options.signal);
  const expected = new Map(options.victims.map((victim) => [victim.id, victim]));
  for (const id of removed) options.note(expected.get(id) ?? { type: 'build-cache', id, name: '', bytes: 0 });
  return reclaimedBytes;
}

/** Bytes of the layers that went indeed. */
function bytesOf(rows: readonly ImageRemoval[], layerBytes: ReadonlyMap<string, number>): number {
  return rows.reduce((sum, row) => sum + ('deleted' in row ? (layerBytes.get(row.deleted) ?? 0) : 0), 0);
}

function sumOf(victims: readonly PruneVictim[]): number {
  return victims.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** False when it has gone, or is in use after all. */
async function wasRemoved(remove: () => Promise<unknown>): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    if ([NotFoundError, ConflictError, ForbiddenError].some((kind) => error instanceof kind)) return false;
    throw error;
  }
}
