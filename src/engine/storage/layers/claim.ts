import type { LayerTable } from '../../state/layers.ts';
import type { StorageDriver } from '../driver.ts';

/**
 * Engines that had layers of one driver only did not write down whose they were. The driver that has one of them has, or
 * should have, all. Costs nothing but one question of the state file once they are claimed.
 */
export async function claimLayers(driver: StorageDriver, table: LayerTable): Promise<void> {
  for (const chainId of table.unclaimed()) {
    const info = await driver.stat(chainId).catch(() => null);
    if (info?.kind === 'committed') {
      table.claim();
      return;
    }
  }
}
