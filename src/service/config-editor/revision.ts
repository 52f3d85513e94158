import { createHash } from 'node:crypto';
import { fragmentPaths } from '../../config/daemon-json.ts';
import type { ConfigFiles } from '../../config/files.ts';

/** The files that make the configuration, in the order in which they are read. */
export function configPaths(files: ConfigFiles, sysconfigFile: string, configFile: string): readonly string[] {
  return [sysconfigFile, configFile, ...fragmentPaths(configFile, listOrNothing(files, `${configFile}.d`))];
}

/** sha256 over names and contents, in hexadecimal digits. A file that is missing or cannot be read counts as such. */
export function revisionOf(files: ConfigFiles, paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const content = readOrNothing(files, path);
    hash.update(`${path}\0${content === null ? '-' : String(content.length)}\0`);
    if (content !== null) hash.update(content);
  }
  return hash.digest('hex');
}

function readOrNothing(files: ConfigFiles, path: string): Buffer | null {
  try {
    return files.read(path);
  } catch {
    return null;
  }
}

function listOrNothing(files: ConfigFiles, path: string): readonly string[] {
  try {
    return files.list(path);
  } catch {
    return [];
  }
}
