import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { UnavailableError } from '../../base/errors.ts';

/** Where distributions put what an engine needs, beside the usual places. */
const DIRECTORIES = [
  '/usr/bin',
  '/usr/sbin',
  '/usr/local/bin',
  '/usr/libexec/docker',
  '/usr/libexec/podman',
  '/usr/lib/podman',
  '/bin',
];

/** Inits that may stand for Docker's, best first. */
const INIT_NAMES = ['docker-init', 'tini-static', 'catatonit', 'tini'];

/** The first of `names` that is installed; null when none is. */
export function programNamed(names: readonly string[]): string | null {
  for (const name of names) {
    for (const directory of DIRECTORIES) {
      const path = join(directory, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        continue;
      }
    }
  }
  return null;
}

/** A program that the engine cannot do without. UnavailableError that names the cure. */
export function requiredProgram(name: string): string {
  const path = programNamed([name]);
  if (path === null) throw new UnavailableError(`${name} is not installed: install the package ${name}`);
  return path;
}

/** The init for `--init`: what was configured, else what is installed. */
export function initProgram(configured: string): string | null {
  return configured === '' ? programNamed(INIT_NAMES) : (programNamed([configured]) ?? configured);
}
