import { stat } from 'node:fs/promises';
import { backingFilesystem } from '../../../engine/storage/backing.ts';
import type { DriverPlace, OpenableDriver } from './opener.ts';

export async function openBtrfs(place: DriverPlace): Promise<OpenableDriver> {
  const { workers, root, dataRoot, storageOptions } = place;
  // The driver's directory may be the mount point of a file system of its own.
  const at = await stat(root).then(
    () => root,
    () => dataRoot,
  );
  const backing = await backingFilesystem(at);
  if (backing !== 'btrfs')
    return { obstacle: `${at} is on ${backing}, and btrfs needs a Btrfs file system`, open: null };
  return {
    obstacle: null,
    open: async () => {
      const { BtrfsDriver } = await import('../../../engine/storage/btrfs/driver.ts');
      const { LinuxBtrfs } = await import('../../../engine/kernel/linux/btrfs.ts');
      const deleteTree = async (path: string): Promise<void> => workers.deleteTree(path);
      return BtrfsDriver.open({ root, calls: new LinuxBtrfs(), storageOptions, deleteTree });
    },
  };
}
