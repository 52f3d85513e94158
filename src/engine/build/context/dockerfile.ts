/** Where the Dockerfile of a context is, and what it says. Texts are those of dockerd's builder. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { cleanPath } from '../../dockerfile/patterns.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { Fd } from '../../kernel/kernel.ts';
import { readBelow, type FileCheck } from './own-files.ts';

export const DEFAULT_DOCKERFILE = 'Dockerfile';
/** A text of which no person has read a tenth. */
export const MOST_DOCKERFILE_BYTES = 4 * 1024 * 1024;

export interface FoundDockerfile {
  readonly text: string;
  readonly name: string;
}

/** InvalidArgumentError in Docker's words when there is none at the path. */
export async function findDockerfile(
  files: Pick<FileCalls, 'openBeneath'>,
  root: string | Fd,
  path: string,
  check?: FileCheck,
): Promise<FoundDockerfile> {
  if (leadsOut(path)) throw forbiddenPath(path);
  const found = await readBelow(files, root, {
    path,
    mostBytes: MOST_DOCKERFILE_BYTES,
    ...(check === undefined ? {} : { check }),
  });
  switch (found.kind) {
    case 'text':
      return checkedDockerfile(found.text, path);
    case 'missing':
      // As old clients name it.
      if (path === DEFAULT_DOCKERFILE)
        return findDockerfile(files, root, path.toLowerCase(), check).catch(() => missing(path));
      return missing(path);
    case 'endless':
      throw forbiddenPath(path);
    case 'directory':
      throw new InvalidArgumentError(`unexpected error reading Dockerfile: read ${path}: is a directory`);
    case 'special':
      throw new InvalidArgumentError(`unexpected error reading Dockerfile: read ${path}: not a regular file`);
    case 'too-large':
      throw tooLarge(path);
  }
}

/** The text, if it is one. InvalidArgumentError. */
export function checkedDockerfile(text: string, name: string): FoundDockerfile {
  if (text === '') throw new InvalidArgumentError(`the Dockerfile (${name}) cannot be empty`);
  return { text, name };
}

export function tooLarge(path: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `the Dockerfile (${path}) is larger than ${String(MOST_DOCKERFILE_BYTES / 1024 / 1024)} MiB: keep what is not an instruction in files of the context`,
  );
}

function missing(path: string): never {
  throw new InvalidArgumentError(`Cannot locate specified Dockerfile: ${path}`);
}

function leadsOut(path: string): boolean {
  const clean = cleanPath(path);
  return clean === '..' || clean.startsWith('../');
}

function forbiddenPath(path: string): InvalidArgumentError {
  return new InvalidArgumentError(`forbidden path outside the build context: ${path} ()`);
}
