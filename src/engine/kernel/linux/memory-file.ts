/** Unnamed files in memory (memfd_create(2)): for what must be a file to somebody and is not worth a name. */
import { writeSync } from 'node:fs';
import type { Fd } from '../kernel.ts';
import { asFd, check, closeQuietly, libc, viaNode } from './libc.ts';

const memfdCreate = libc.bind<(name: string, flags: number) => number>(
  'int memfd_create(const char *name, unsigned int flags)',
);
const MFD_CLOEXEC = 1;

/** A close-on-exec file that holds `text` and is read from its start; `label` is for readers of /proc. */
export function memoryFile(label: string, text = ''): Fd {
  const fd = check(memfdCreate(label, MFD_CLOEXEC), 'memfd_create');
  try {
    const bytes = Buffer.from(text);
    viaNode('write', null, () => {
      // Written at given places, so that the file's own position stays at its start.
      for (let offset = 0; offset < bytes.length;) {
        offset += writeSync(fd, bytes, offset, bytes.length - offset, offset);
      }
    });
    return asFd(fd);
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
}
