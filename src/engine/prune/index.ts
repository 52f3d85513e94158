/**
 * The prune room: what nobody uses goes. It stands above containers, since an unused image is one that no container
 * uses, and acts only through the rooms' own `remove`, which have the last word.
 */
import type { Clock } from '../../base/clock.ts';
import { ConflictError, NotFoundError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ImageRemoval } from '../images/types.ts';
import { select, type ImageVictim, type PruneRooms } from './select.ts';
import type { Prune, PruneVictim } from './types.ts';

export interface PruneDependencies extends PruneRooms {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
}

/** Makes the room. */
export function createPrune(dependencies: PruneDependencies): Prune {
  const { clock, logger, containers, images, volumes } = dependencies;
  return {
    async preview(request) {
      const selection = await select(dependencies, request, clock.now());
      const victims = [...selection.containers, ...selection.volumes, ...selection.images.map(({ victim }) => victim)];
      return { victims, reclaimableBytes: sumOf(victims) };
    },

    async run(request, signal, onRemoved = () => {}) {
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
      for (const victim of selection.volumes) await take(victim, () => volumes.remove(victim.id, { force: false }));
      for (const image of selection.images) await takeImage(image);
      const reclaimedBytes = sumOf(removed);
      logger.info('pruned', {
        message: 'prune',
        types: request.types.join(','),
        count: removed.length,
        reclaimedBytes,
      });
      return { removed, imageRemovals, reclaimedBytes };
    },
  };
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
    if (error instanceof NotFoundError || error instanceof ConflictError) return false;
    throw error;
  }
}
