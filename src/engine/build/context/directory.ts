import { constants, fstat } from 'node:fs';
import { promisify } from 'node:util';
import { errnoCodeOf, ForbiddenError, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';
import type { ContextSource } from '../types.ts';
import { findDockerfile, type FoundDockerfile } from './dockerfile.ts';
import { ignoredBelow } from './ignored.ts';
import type { ContextOptions } from './options.ts';
import { closeDescriptor, type FileCheck } from './own-files.ts';
import { checkReader } from './reader.ts';

type DirectorySource = Extract<ContextSource, { kind: 'directory' }>;

const statFd = promisify(fstat);

/**
 * Copies a directory of the host: whoever it belongs to may write to it while the build goes on. No link on the way is
 * followed, so that nobody has another one read than they named. Its Dockerfile is read before anything is left out, so
 * that it is checked by itself: what is left out of a context is asked for by nobody.
 */
export async function openDirectory(
  { files, gatherer }: ContextOptions,
  { source, place }: { readonly source: DirectorySource; readonly place: string },
  { dockerfile, signal }: { readonly dockerfile: string; readonly signal: AbortSignal },
): Promise<FoundDockerfile> {
  const { path } = source;
  const reader = source.ownerUid;
  if (!path.startsWith('/')) throw unusable(`path "${path}" is not absolute`);
  const fd = opened(files, path);
  try {
    const info = await statFd(fd);
    if (reader !== null && reader !== 0 && info.uid !== reader)
      throw new ForbiddenError(`unable to prepare context: path "${path}" belongs to another user`);
    const check: FileCheck = async (file) => {
      if (reader !== null && reader !== 0) await checkReader(files, fd, { ...file, reader });
    };
    const found = await findDockerfile(files, fd, dockerfile, check);
    const excludes = await ignoredBelow(files, fd, found.name, check);
    await gatherer.gather(`/proc/self/fd/${String(fd)}`, place, { excludes, reader, signal });
    return found;
  } finally {
    await closeDescriptor(fd);
  }
}

function opened(files: Pick<FileCalls, 'openWithoutLinks'>, path: string): Fd {
  try {
    return files.openWithoutLinks(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    switch (errnoCodeOf(error)) {
      case 'ENOENT':
        throw unusable(`path "${path}" not found`);
      case 'ENOTDIR':
        throw unusable(`context must be a directory: ${path}`);
      case 'ELOOP':
        throw unusable(`path "${path}" leads through a symbolic link: name the directory itself`);
      default:
        throw unusable(messageOf(error));
    }
  }
}

function unusable(reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`unable to prepare context: ${reason}`);
}
