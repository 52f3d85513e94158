/**
 * A directory or file inside a volume or image as a mount of its own. A path can be changed by whoever writes to the
 * volume between the check and the mount; so it is resolved once, by the kernel, to a descriptor (openat2,
 * RESOLVE_BENEATH), and that descriptor is bound to a place which only the engine reaches. The runtime gets that place.
 */
import { closeSync, fstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoText } from '../../../base/errno-text.ts';
import { errnoCodeOf, InternalError } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd, MountCalls } from '../../kernel/kernel.ts';

/** open(2)'s O_PATH, which node:fs does not name. */
const O_PATH = 0o10000000;

/** What this needs of the kernel. */
export interface SubpathCalls {
  readonly files: Pick<FileCalls, 'openWithin'>;
  readonly mounts: Pick<MountCalls, 'mount'>;
}

/** Binds `subpath` of `base` to `place`, which is made. InternalError in Docker's words when it leads out or to nothing. */
export function bindSubpath({ files, mounts }: SubpathCalls, base: string, subpath: string, place: string): void {
  const fd = open(files, base, subpath);
  try {
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    if (fstatSync(fd).isDirectory()) mkdirSync(place, { recursive: true, mode: 0o700 });
    else writeFileSync(place, '', { mode: 0o600 });
    mounts.mount({ type: 'bind', source: `/proc/self/fd/${String(fd)}`, options: ['rbind', 'rprivate'] }, place);
  } finally {
    closeSync(fd);
  }
}

function open(files: Pick<FileCalls, 'openWithin'>, base: string, subpath: string): Fd {
  try {
    return files.openWithin(base, subpath, O_PATH);
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'EXDEV') {
      throw new InternalError(`path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`, {
        cause: error,
      });
    }
    const path = join(base, subpath);
    const reason = code === null ? String(error) : errnoText(code);
    throw new InternalError(`cannot access path ${path}: lstat ${path}: ${reason}`, { cause: error });
  }
}
