import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCodeOf, messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import { deleteHere } from '../../storage/delete-tree.ts';
import { FILL_KEY_PREFIX, type FillGround } from './fill.ts';

/** What sweeping takes. */
export interface ScratchGround extends Pick<FillGround, 'kernel' | 'storage'> {
  readonly scratchDirectory: string;
  readonly logger: Logger;
}

/** Takes the places of steps away that a killed engine had under way, with what is mounted in them. */
export async function sweepScratch({ kernel, storage, scratchDirectory, logger }: ScratchGround): Promise<void> {
  const left = listed(scratchDirectory);
  if (left.length === 0) return;
  try {
    for (const path of kernel.mounts.listBelow(scratchDirectory))
      await kernel.mounts.unmountInThread(path, { lazy: true });
    const views: string[] = [];
    for await (const { key } of storage.walk()) if (key.startsWith(FILL_KEY_PREFIX)) views.push(key);
    for (const key of views) await storage.remove(key);
    for (const name of left) await deleteHere(join(scratchDirectory, name));
  } catch (error) {
    logger.warn('what build steps had beside them could not be removed', { reason: messageOf(error) });
  }
}

function listed(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
