/** What lies in a daemon's data root: for tests that compare it with what lay there before. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Of what is kept, as it must be when there is no image and no container. */
export const EMPTY = {
  blobs: [],
  downloads: [],
  ingests: [],
  layers: [],
  links: [],
  subvolumes: [],
  containers: [],
  mounts: [],
};

/** All that a daemon with this storage driver keeps, by name, in its data root and below its exec root. */
export function keptIn(root: string, execRoot: string, driver: string): Readonly<Record<string, unknown>> {
  const list = (...path: readonly string[]): readonly string[] => readdirSync(join(root, ...path)).toSorted();
  const ingests = list('content', 'ingest');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${root}/`) || path.startsWith(execRoot));
  return {
    root: list().filter((name) => !name.startsWith('state.db')),
    blobs: list('content', 'blobs', 'sha256'),
    downloads: ingests.filter((name) => name.startsWith('layer-')),
    ingests: ingests.filter((name) => !name.startsWith('layer-')),
    layers: list(driver).filter((name) => name !== 'l'),
    links: driver === 'overlay2' ? list('overlay2', 'l') : [],
    subvolumes: driver === 'btrfs' ? subvolumesBelow(join(root, driver)) : [],
    containers: list('containers'),
    tmp: list().includes('tmp') ? list('tmp') : [],
    exec: tree(execRoot),
    mounts,
    rows: rowsOf(root),
  };
}

function rowsOf(root: string): Readonly<Record<string, unknown>> {
  // The daemon lets nobody else at its file: a copy is read.
  const directory = mkdtempSync(join(tmpdir(), 'moored-chaos-rows-'));
  try {
    for (const name of readdirSync(root).filter((entry) => entry.startsWith('state.db')))
      copyFileSync(join(root, name), join(directory, name));
    using database = new DatabaseSync(join(directory, 'state.db'));
    const tables = ['image', 'image_tag', 'image_digest', 'image_blob', 'image_flaw', 'layer', 'container', 'lease'];
    return Object.fromEntries(
      tables.map((table) => [table, database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Also those that no directory leads to. */
function subvolumesBelow(directory: string): readonly string[] {
  return (
    execFileSync('btrfs', ['subvolume', 'list', '-o', directory], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line !== '')
      // The generation changes with whatever is written next to it, such as a child's making.
      .map((line) => line.replace(/ gen \d+/, ''))
  );
}

function tree(path: string): readonly string[] {
  return (readdirSync(path, { recursive: true }) as string[]).toSorted();
}
