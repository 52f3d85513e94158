/** The volumes room with its local driver; see compose.ts. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';
import { DirectoryContents } from '../../engine/storage/directory-contents.ts';
import type { LayerWorkers } from '../../engine/storage/layers/workers.ts';
import type { TreeMeter } from '../../engine/storage/measuring.ts';
import type { Volumes } from '../../engine/volumes/driver.ts';
import { createVolumes } from '../../engine/volumes/index.ts';
import { LocalVolumeDriver } from '../../engine/volumes/local/driver.ts';
import { createVolumeMounter } from '../../engine/volumes/mounter.ts';
import { workerEntry } from '../own-files.ts';
import type { Ground } from './rooms.ts';
import { openDirectoryQuotas } from './storage/quotas.ts';

/** Volumes below the data root, with those that another engine has left there. */
export async function openVolumes(
  { database, clock, events, logger, kernel, dataRoot }: Ground,
  { workers, meter }: { readonly workers: LayerWorkers; readonly meter: TreeMeter },
): Promise<Volumes> {
  const spoolDirectory = join(dataRoot, 'volumes-receive');
  const root = join(dataRoot, 'volumes');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const local = new LocalVolumeDriver(root, { quotas: await openDirectoryQuotas(root) });
  const volumes = createVolumes({
    database,
    clock,
    events,
    logger,
    drivers: new Map([[local.name, local]]),
    contents: new DirectoryContents({ workers, meter, files: () => new LinuxFiles(), spoolDirectory }),
    mounter: createVolumeMounter(kernel.mounts, workerEntry('volume-mount-worker')),
  });
  await volumes.adopt();
  return volumes;
}
