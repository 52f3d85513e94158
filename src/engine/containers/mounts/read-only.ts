/** Whether "read-only" reaches what is mounted below a bind mount's source: by default it does, where the host can. */
import { release } from 'node:os';
import { InternalError } from '../../../base/errors.ts';

/** How far read-only reaches: as far as it can, not below the source, or all of it or nothing. */
export type ReadOnlyReach = 'possible' | 'source' | 'all';

/** The first kernel with mount_setattr(2), which sets flags on a whole tree of mounts. */
const FIRST_KERNEL: readonly [number, number] = [5, 12];
/** Runtimes that know the word `rro` in all versions that are about; others are only given what all know. */
const RUNTIMES = /(^|\/)(crun|runc|youki)$/;

/** The option word of a read-only mount. InternalError in Docker's words where all is asked and cannot be had. */
export function readOnlyWord(
  reach: ReadOnlyReach,
  runtime: { readonly name: string; readonly path: string },
  kernel: string = release(),
): 'ro' | 'rro' {
  if (reach === 'source') return 'ro';
  const missing = missingSupport(runtime, kernel);
  if (missing === null) return 'rro';
  if (reach === 'all') throw new InternalError(missing);
  return 'ro';
}

function missingSupport(
  { name, path }: { readonly name: string; readonly path: string },
  kernel: string,
): string | null {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => parseInt(part, 10));
  if (major < FIRST_KERNEL[0] || (major === FIRST_KERNEL[0] && minor < FIRST_KERNEL[1])) {
    return 'rro is not supported by the kernel: function not implemented';
  }
  return RUNTIMES.test(path) ? null : `rro is not supported by runtime ${JSON.stringify(name)}`;
}
