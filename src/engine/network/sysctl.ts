import { readFileSync, writeFileSync } from 'node:fs';
import { KernelError } from '../kernel/kernel.ts';
import { errnoCodeOf } from '../../base/errors.ts';

/**
 * Kernel parameters of the network namespace the calling thread is in. Synchronous, because the thread may only be in
 * another namespace within one call (`NamespaceCalls.within`).
 */
export interface Sysctls {
  /** The value, or null when the kernel has no such parameter. */
  read(key: string): string | null;
  /** KernelError when it cannot be set; `ENOENT` when the kernel does not have it. */
  write(key: string, value: string): void;
}

/** The real ones, below /proc/sys. */
export const procSysctls: Sysctls = {
  read: (key) => {
    try {
      return readFileSync(pathOf(key), 'utf8').trim();
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  },
  write: (key, value) => {
    try {
      // Not O_CREAT or O_TRUNC: /proc/sys answers a missing parameter with EACCES then, not with ENOENT.
      writeFileSync(pathOf(key), value, { flag: 'r+' });
    } catch (error) {
      throw new KernelError('sysctl', errnoCodeOf(error) ?? 'EIO', pathOf(key));
    }
  },
};

/**
 * `net.ipv4.conf.docker0.route_localnet` → its file. With a slash in it the key is a path already, so that an interface
 * name may contain a dot, as in sysctl(8).
 */
function pathOf(key: string): string {
  return `/proc/sys/${key.includes('/') ? key : key.replaceAll('.', '/')}`;
}
