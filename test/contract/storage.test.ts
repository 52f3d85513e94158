import { join } from 'node:path';
import { describe, it } from 'vitest';
import { makeTestStorage, type DriverName } from '../support/layers.ts';
import { describeStorageDriver } from './storage.contract.ts';

const isRoot = process.getuid?.() === 0;

for (const name of ['overlay2', 'vfs'] satisfies DriverName[]) {
  if (!isRoot) {
    describe(`storage driver: ${name}`, () => {
      it('works', (context) => context.skip('mounting needs root'));
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
