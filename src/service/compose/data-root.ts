/** Where everything of the engine's lies; on Btrfs a subvolume, see engine/storage/btrfs/data-root.ts. */
import { mkdir, readFile, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { errnoCodeOf } from '../../base/errors.ts';
import { backingFilesystem } from '../../engine/storage/backing.ts';

/** Makes it where it is missing. */
export async function makeDataRoot(dataRoot: string, logger: Logger): Promise<void> {
  try {
    const path = await realPathOf(dataRoot);
    if (await isOnBtrfs(path)) await makeSubvolume(path);
  } catch (error) {
    logger.warn('the data root could not be made a Btrfs subvolume of its own', { path: dataRoot, error });
  }
  await mkdir(dataRoot, { recursive: true, mode: 0o710 });
}

/** What should be done about a data root on Btrfs, in words; null when nothing. */
export async function btrfsDataRootAdvice(dataRoot: string): Promise<string | null> {
  const path = await realPathOf(dataRoot);
  const { dataRootAdvice } = await import('../../engine/storage/btrfs/data-root.ts');
  const { LinuxBtrfs } = await import('../../engine/kernel/linux/btrfs.ts');
  const isSubvolume = (await new LinuxBtrfs().look(path)) !== null;
  return dataRootAdvice({ path, isSubvolume, mountinfo: await readFile('/proc/self/mountinfo', 'utf8') });
}

async function makeSubvolume(path: string): Promise<void> {
  const { makeOwnSubvolume } = await import('../../engine/storage/btrfs/data-root.ts');
  const { LinuxBtrfs } = await import('../../engine/kernel/linux/btrfs.ts');
  await makeOwnSubvolume(path, new LinuxBtrfs());
}

async function realPathOf(path: string): Promise<string> {
  return realpath(path).catch((error: unknown) => {
    if (errnoCodeOf(error) === 'ENOENT') return path;
    throw error;
  });
}

/** Of a path that is still missing: whether it would be. */
async function isOnBtrfs(path: string): Promise<boolean> {
  for (let place = path; ; place = dirname(place)) {
    const filesystem = await backingFilesystem(place).catch((error: unknown) => {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      throw error;
    });
    if (filesystem !== null) return filesystem === 'btrfs';
  }
}
