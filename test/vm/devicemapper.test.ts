/** Thin pools of the kernel's, which the host's has not: the pool, the driver, and layers that are what they are elsewhere. */
import { describeInGuest } from '../support/guest-cases.ts';

/** Stacks are no deeper to a driver of whole trees, and what is no matter of its devices is tried on the host. */
const WANTED = [
  'of the kernel',
  'driver: devicemapper > (?!mounts as deep|takes any)',
  'on devicemapper > (keeps everything|deletes by|links to|writes sparse|removes layers|sweeps)',
  'is on devicemapper what',
  'snapshots on devicemapper > (give the same|become layers without)',
  'devicemapper with (ext4 > grows|xfs > (has|grows))',
];

await describeInGuest('devicemapper', {
  files: [
    'test/contract/thin-pool.test.ts',
    'test/contract/storage-devicemapper.test.ts',
    'test/contract/devicemapper-filesystems.test.ts',
    'test/contract/storage-layers.test.ts',
    'test/contract/storage-same-layers.test.ts',
    'test/contract/storage-spending.test.ts',
  ],
  only: WANTED.join('|'),
});
