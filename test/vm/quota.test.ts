/** Project quotas, which few build machines' kernels have, and the drivers of file trees on xfs, on an older kernel. */
import { describeInGuest } from '../support/guest-cases.ts';

const XFS = '/tmp/xfs';
const WANTED = [
  'project quotas on',
  'quotas on Btrfs > .*(can be had|let nobody write|bounds a container)',
  // Before Linux 6.7 the layers of an overlay have to fit into a page.
  'driver: overlay2 > (stacks|keeps what|gives read|removes|mounts as deep)',
  'driver: btrfs > (stacks|gives read)',
];

await describeInGuest('quotas and file trees', {
  files: [
    'test/contract/directory-quotas-projects.test.ts',
    'test/contract/directory-quotas-btrfs.test.ts',
    'test/contract/storage.test.ts',
  ],
  only: WANTED.join('|'),
  setUp: `truncate -s 6G ${XFS}.img && mkfs.xfs -q -K -m reflink=1 ${XFS}.img && mkdir ${XFS} && mount -o loop,prjquota ${XFS}.img ${XFS}`,
  environment: { TMPDIR: XFS },
});
