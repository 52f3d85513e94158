import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Overlay2Driver } from '../../../engine/storage/overlay2/driver.ts';
import { probeOverlay2 } from '../../../engine/storage/overlay2/probe.ts';
import type { DriverPlace, OpenableDriver } from './opener.ts';
import { openDirectoryQuotas } from './quotas.ts';

export async function openOverlay2(place: DriverPlace): Promise<OpenableDriver> {
  const { kernel, workers, root, dataRoot, storageOptions } = place;
  // The driver's directory may be the mount point of a file system of its own.
  const probe = await probeOverlay2(kernel, existsSync(root) ? root : dataRoot);
  if (!probe.works) return { obstacle: probe.reason, open: null };
  const deleteTree = async (path: string): Promise<void> => workers.deleteTree(path);
  return {
    obstacle: null,
    open: async () => {
      await mkdir(root, { recursive: true, mode: 0o710 });
      const quotas = await openDirectoryQuotas(root);
      return Overlay2Driver.open({ root, support: probe.support, storageOptions, quotas, deleteTree });
    },
  };
}
