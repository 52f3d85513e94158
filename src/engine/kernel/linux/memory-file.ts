/** Unnamed files in memory (memfd_create(2)): for what must be a file to somebody and is not worth a name. */
import { writeSync } from 'node:fs';
import type { Fd } from '../kernel.ts';
import { asFd, check, closeQuietly, libc, viaNode } from './libc.ts';

const memfdCreate = libc.bind<(name: string, flags: number) => number>(
  'int memfd_create(const char *name, unsigned int flags)',
);
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;

/** A close-on-exec file that holds `content` and is read from its start; `label` is for readers of /proc. */
export function memoryFile(
  label: string,
  content: string | Buffer = '',
  { sealable = false }: { readonly sealable?: boolean } = {},
): Fd {
  const fd = check(memfdCreate(label, MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0)), 'memfd_create');
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
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
