/** What every driver does, by devicemapper: on loop devices here, on thin pools in the emulated machine (test/vm). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { openTestDevicemapper } from '../support/devicemapper.ts';
import { describeStorageDriver } from './storage.contract.ts';

if (process.getuid?.() === 0) {
  describeStorageDriver('devicemapper', async () => {
    const kernel = createLinuxKernel();
    const scratch = mkdtempSync(join(tmpdir(), 'storage-devicemapper-'));
    const root = join(scratch, 'devicemapper');
    let opened = await openTestDevicemapper(root, kernel);
    return {
      driver: opened.driver,
      kernel,
      root,
      reopen: async () => {
        opened = await openTestDevicemapper(root, kernel);
        return opened.driver;
      },
      dispose: async () => {
        await opened[Symbol.asyncDispose]();
        rmSync(scratch, { recursive: true });
      },
    };
  });
} else {
  describe('storage driver: devicemapper', () => {
    it('works', (context) => context.skip('mounting needs root'));
  });
}
