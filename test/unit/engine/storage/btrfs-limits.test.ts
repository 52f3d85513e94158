import { expect, it } from 'vitest';
import { KernelError } from '../../../../src/engine/kernel/kernel.ts';
import type { BtrfsCalls } from '../../../../src/engine/kernel/btrfs.ts';
import { BtrfsLimits } from '../../../../src/engine/storage/btrfs/limits.ts';

it('tells how a group that is gone is made again: older kernels let one go beside its subvolume', async () => {
  const calls = {
    look: async () => ({ id: 257n, generation: 1n, madeIn: 1n, isReadOnly: false }),
    group: async () => null,
    quotas: async () => 'full',
    limit: async (path: string) => Promise.reject(new KernelError('ioctl', 'ENOENT', path)),
  } as unknown as BtrfsCalls;
  const limits = new BtrfsLimits(calls, (name) => `/data/${name}/tree`);
  expect([await limits.inForce('box'), await limits.obstacleTo('box')]).toEqual([null, null]);
  await expect(limits.set('box', 1000)).rejects.toThrow(
    'its quota group is gone; make it again, and repair again: ' +
      'btrfs qgroup create 0/257 /data/box/tree; btrfs quota rescan /data/box/tree',
  );
});
