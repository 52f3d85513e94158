import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { FakeKernel } from '../support/fake-kernel.ts';
import type { KernelGround } from './kernel.contract.ts';
import { kernelContract } from './kernel.contract.ts';

kernelContract('the Linux kernel', openLinux, process.getuid?.() === 0 ? null : 'needs root for mounts and namespaces');
kernelContract('the fake kernel', openFake, null);

function openLinux(): KernelGround {
  const kernel = createLinuxKernel();
  const root = mkdtempSync(join(tmpdir(), 'kernel-'));
  let count = 0;
  return {
    kernel,
    directory: () => {
      const path = join(root, `directory${String(count++)}`);
      mkdirSync(path);
      return path;
    },
    [Symbol.dispose]: () => {
      for (const target of kernel.mounts.listBelow(root)) kernel.mounts.unmount(target, { lazy: true });
      rmSync(root, { recursive: true });
    },
  };
}

function openFake(): KernelGround {
  const kernel = new FakeKernel();
  let count = 0;
  kernel.onSpawn('sleep', () => undefined);
  kernel.onSpawn('cat', (child) => {
    child.write(1, child.argv.length > 1 ? 'Linux\n' : child.stdin);
    return 0;
  });
  return { kernel, directory: () => `/fake/directory${String(count++)}`, [Symbol.dispose]: () => undefined };
}
