import { describe, it } from 'vitest';
import { DRIVERS, makeTestStorage, obstacleOf } from '../support/layers.ts';
import { describeLayerPacker } from './storage-packing.contract.ts';

for (const name of DRIVERS) {
  const obstacle = obstacleOf(name);
  if (obstacle === null) describeLayerPacker(name, async () => makeTestStorage(name));
  else describe(name, () => it('works', (context) => context.skip(obstacle)));
}
