import { posix } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { RunMount } from '../../dockerfile/types.ts';

/**
 * The mount with an absolute target: one that is not is below the working directory. InvalidArgumentError for one that would
 * hide everything, and in runc's words for those that no runtime takes.
 */
export function inside(mount: RunMount, workingDirectory: string): RunMount {
  if (mount.target === null) return mount;
  const target = posix.resolve('/', workingDirectory, mount.target);
  if (target === '/') throw new InvalidArgumentError(`invalid mount target "${target}"`);
  if (target === '/proc') throw refusal(target, 'because it is not of type proc');
  if (target.startsWith('/proc/')) throw refusal(target, 'because it is inside /proc');
  // Runtimes look for /dev/null and the like there when everything is mounted.
  if (target === '/dev' && mount.kind !== 'tmpfs') throw refusal(target, 'over the devices of the container');
  return { ...mount, target };
}

function refusal(target: string, reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`"${target}" cannot be mounted ${reason}: choose another target`);
}
