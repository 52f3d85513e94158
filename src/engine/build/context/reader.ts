/** What somebody may read who is not the superuser: by a file's own bits and those of the directories that it is in. */
import { constants, fstat, readlinkSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import { ForbiddenError } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { closeDescriptor } from './own-files.ts';

/** open(2)'s O_PATH, which node:fs does not name; the same number on x86-64 and arm64. */
const O_PATH = 0o10000000;
const READ = 0o4;
const SEARCH = 0o1;
const OWNER_SHIFT = 6;
const statFd = promisify(fstat);

/** An open file below `root`; ForbiddenError in the words that the CLI has for what it cannot read. */
export async function checkReader(
  files: Pick<FileCalls, 'openBeneath'>,
  root: Fd,
  { fd, path, reader }: { readonly fd: Fd; readonly path: string; readonly reader: number },
): Promise<void> {
  const mustHave = (info: Stats, bit: number): void => {
    const bits = info.uid === reader ? info.mode >> OWNER_SHIFT : info.mode;
    if ((bits & bit) === 0) throw new ForbiddenError(`no permission to read from '${path}'`);
  };
  mustHave(await statFd(fd), READ);
  // Where it is in truth, whatever links have led to it.
  let above = posix.dirname(posix.relative(placeOf(root), placeOf(fd)));
  for (; above !== '.'; above = posix.dirname(above)) {
    if (above.startsWith('..') || above === '/') throw new ForbiddenError(`no permission to read from '${path}'`);
    const directory = files.openBeneath(root, above, O_PATH | constants.O_DIRECTORY);
    try {
      mustHave(await statFd(directory), SEARCH);
    } finally {
      await closeDescriptor(directory);
    }
  }
}

function placeOf(fd: Fd): string {
  return readlinkSync(`/proc/self/fd/${String(fd)}`);
}
