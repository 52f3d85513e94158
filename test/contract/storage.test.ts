import { join } from 'node:path';
import { describe, it } from 'vitest';
import { makeTestStorage, obstacleOf, type DriverName } from '../support/layers.ts';
import { describeStorageDriver } from './storage.contract.ts';

for (const name of ['overlay2', 'btrfs', 'vfs'] satisfies DriverName[]) {
  const obstacle = obstacleOf(name);
  if (obstacle !== null) {
    describe(`storage driver: ${name}`, () => {
      it('works', (context) => context.skip(obstacle));
    });
    continue;
  }
  describeStorageDriver(name, async () => {
    const storage = await makeTestStorage(name);
    return {
      driver: storage.driver,
      kernel: storage.kernel,
      root: join(storage.root, name),
      reopen: async () => storage.reopenDriver(),
      dispose: async () => storage[Symbol.asyncDispose](),
    };
  });
}
