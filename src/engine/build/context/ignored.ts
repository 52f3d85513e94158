import { InvalidArgumentError } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { IGNORE_FILE, parseIgnoreFile } from './ignore-file.ts';
import { readBelow, type FileCheck } from './own-files.ts';

/** Beyond any list that a person has written. */
const MOST_IGNORE_BYTES = 1024 * 1024;

const WHY = {
  endless: 'too many levels of symbolic links',
  directory: 'is a directory',
  special: 'not a regular file',
  'too-large': 'larger than 1 MiB',
} as const;

/**
 * What is left out of the tree at `root`: by the list of its Dockerfile (`Dockerfile.dockerignore`), where there is one
 * (null: nobody looks), else by `.dockerignore`. Nothing where there is neither.
 */
export async function ignoredBelow(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string | Fd,
  dockerfile: string | null,
  check?: FileCheck,
): Promise<readonly string[]> {
  const names = [...(dockerfile === null ? [] : [`${dockerfile}${IGNORE_FILE}`]), IGNORE_FILE];
  for (const path of names) {
    const found = await readBelow(files, root, {
      path,
      mostBytes: MOST_IGNORE_BYTES,
      ...(check === undefined ? {} : { check }),
    });
    if (found.kind === 'text') return parseIgnoreFile(found.text);
    if (found.kind !== 'missing') throw new InvalidArgumentError(`error reading ${path}: ${WHY[found.kind]}`);
  }
  return [];
}
