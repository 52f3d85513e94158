import { describe, it } from 'vitest';
import { DRIVERS, makeTestStorage, obstacleOf } from '../support/layers.ts';
import { describeCopies } from './build-copy.contract.ts';

for (const name of DRIVERS) {
  const obstacle = obstacleOf(name);
  if (obstacle === null) describeCopies(name, async () => makeTestStorage(name));
  else describe(name, () => it('works', (context) => context.skip(obstacle)));
}
