import { closeSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../base/errors.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { mappingOfRun } from './pool.ts';
import { forMounts } from './mounts.ts';

/** Any ids do: nothing of the trial stays. */
const TRIAL = mappingOfRun({ first: 1_879_048_192, count: 1 });

/**
 * Tries below `directory`, where the containers' layers lie, what a container in a user namespace needs: the reason why
 * it cannot be, or null. A millisecond; leaves nothing behind.
 */
export function whyNoUserns(
  kernel: Pick<Kernel, 'mounts' | 'userNamespaces'>,
  directory: string,
  storageDriver: string,
): string | null {
  const scratch = mkdtempSync(join(directory, '.userns-'));
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
    string,
  ];
  try {
    for (const path of [lower, upper, work, merged]) mkdirSync(path);
    writeFileSync(join(lower, 'file'), '');
    const overlay = ['index=off', `lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
    const userns = kernel.userNamespaces.open(forMounts(TRIAL));
    try {
      kernel.mounts.mountMapped(
        storageDriver === 'overlay2'
          ? { type: 'overlay', source: 'overlay', options: overlay }
          : { type: 'bind', source: lower, options: ['bind'] },
        merged,
        userns,
      );
    } finally {
      closeSync(userns);
    }
    try {
      // An overlay that could not make its work directory is read-only.
      if (storageDriver === 'overlay2') rmSync(join(merged, 'file'));
      return null;
    } finally {
      kernel.mounts.unmount(merged, { lazy: true });
    }
  } catch (error) {
    return `the kernel (Linux 5.19 and later can) or the file system of ${directory} does not map ids: ${messageOf(error)}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
