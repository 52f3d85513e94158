import { mkdir } from 'node:fs/promises';
import { deleteHere } from '../../../engine/storage/delete-tree.ts';
import { VfsDriver } from '../../../engine/storage/vfs/driver.ts';
import type { DriverPlace, OpenableDriver } from './opener.ts';
import { openDirectoryQuotas } from './quotas.ts';

export async function openVfs({ workers, root, storageOptions }: DriverPlace): Promise<OpenableDriver> {
  const deleteTree = async (path: string): Promise<void> => workers.deleteTree(path);
  // Only where one waits for work: starting one takes longer.
  const deleteCopy = async (path: string): Promise<void> => (workers.isReady ? deleteTree(path) : deleteHere(path));
  const copyTree = async (from: string, to: string): Promise<void> => workers.copyTree(from, to);
  return await Promise.resolve({
    obstacle: null,
    open: async () => {
      await mkdir(root, { recursive: true, mode: 0o710 });
      const quotas = await openDirectoryQuotas(root);
      return VfsDriver.open({ root, copyTree, deleteTree, deleteCopy, quotas, storageOptions });
    },
  });
}
