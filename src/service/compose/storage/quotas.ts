import { backingFilesystem } from '../../../engine/storage/backing.ts';
import type { KeptLimits } from '../../../engine/storage/mending.ts';
import { NoQuotas } from '../../../engine/storage/quota/none.ts';
import type { DirectoryQuotas } from '../../../engine/storage/quota/types.ts';

/** Limits of directories below `root` that can be lost and set again, by their paths; null where there are none. */
export async function keptLimits(root: string): Promise<KeptLimits | null> {
  if ((await backingFilesystem(root)) !== 'btrfs') return null;
  const { BtrfsLimits } = await import('../../../engine/storage/btrfs/limits.ts');
  const { LinuxBtrfs } = await import('../../../engine/kernel/linux/btrfs.ts');
  return new BtrfsLimits(new LinuxBtrfs(), (path) => path);
}

/** What can limit directories below `root`, which is there; what it needs of the kernel is loaded where it can. */
export async function openDirectoryQuotas(root: string): Promise<DirectoryQuotas> {
  const filesystem = await backingFilesystem(root);
  switch (filesystem) {
    case 'xfs':
    case 'extfs': {
      const { ProjectQuotas } = await import('../../../engine/storage/quota/project.ts');
      const { createProjectQuotaCalls } = await import('../../../engine/kernel/linux/quota.ts');
      return ProjectQuotas.open({ root, filesystem, calls: createProjectQuotaCalls() });
    }
    case 'btrfs': {
      const { BtrfsQuotas } = await import('../../../engine/storage/btrfs/quotas.ts');
      const { LinuxBtrfs } = await import('../../../engine/kernel/linux/btrfs.ts');
      return BtrfsQuotas.open({ root, calls: new LinuxBtrfs() });
    }
    default:
      return new NoQuotas(
        `the file system of ${root} (${filesystem}) has no quotas for directories: use xfs or ext4 with project quotas, or btrfs`,
      );
  }
}
