import {
  chmodSync,
  copyFileSync,
  cpSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measureTrees } from '../../../../src/engine/storage/layers/measure/measure-trees.ts';
import { Cancelled } from '../../../../src/engine/storage/layers/unpack/unpack-blob.ts';

const files = { listXattrs: (): readonly string[] => [], getXattr: (): null => null };
const control = { progress: () => undefined, send: () => undefined, isCancelled: () => false };

let scratch: string;
let parent: string;
let root: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'measure-'));
  parent = join(scratch, 'parent');
  root = join(scratch, 'root');
  mkdirSync(join(parent, 'etc'), { recursive: true });
  writeFileSync(join(parent, 'etc', 'passwd'), '0123456789');
  writeFileSync(join(parent, 'etc', 'group'), '01234');
  symlinkSync('etc/passwd', join(parent, 'users'));
});
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** A copy with all times, as the drivers of whole trees make it. */
function copied(): void {
  cpSync(parent, root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  for (const name of ['etc/passwd', 'etc/group', 'users']) {
    const { atimeMs, mtimeMs } = lstatSync(join(parent, name));
    for (const tree of [parent, root]) lutimesSync(join(tree, name), atimeMs / 1000, Math.floor(mtimeMs / 1000));
  }
}

function measured(from: string | null, except: readonly string[] = []): unknown {
  return measureTrees([{ root, parent: from, except }], files, control)[0];
}

describe('a copy of a whole tree', () => {
  beforeEach(copied);

  it('holds nothing of its own at first', () => {
    expect(measured(parent)).toEqual({ sizeBytes: 0, inodes: 0 });
    expect(measured(null)).toEqual({ sizeBytes: 15 + 'etc/passwd'.length, inodes: 4 });
  });

  it('holds what is new or changed, and nothing for what is gone', () => {
    writeFileSync(join(root, 'etc', 'new'), '123');
    rmSync(join(root, 'etc', 'group'));
    expect(measured(parent)).toMatchObject({ sizeBytes: 3 });
    chmodSync(join(root, 'etc', 'passwd'), 0o600);
    expect(measured(parent)).toMatchObject({ sizeBytes: 3 + 10 });
  });

  it('counts a new file with two names once', () => {
    writeFileSync(join(root, 'one'), '1234567');
    linkSync(join(root, 'one'), join(root, 'two'));
    expect(measured(parent)).toEqual({ sizeBytes: 7, inodes: 1 });
  });

  it('passes over what does not count, new or changed', () => {
    symlinkSync('/proc/mounts', join(root, 'etc', 'mtab'));
    expect(measured(parent, ['/etc/mtab'])).toEqual({ sizeBytes: 0, inodes: 0 });
    writeFileSync(join(root, 'etc', 'passwd'), 'changed');
    expect(measured(parent, ['/etc/passwd', '/etc/mtab'])).toMatchObject({ sizeBytes: 0 });
  });

  it('is measured although the next one cannot be', () => {
    writeFileSync(join(root, 'file'), '12');
    const sources = [
      { root: join(scratch, 'gone'), parent, except: [] },
      { root: join(root, 'file'), parent: null, except: [] },
      { root, parent, except: [] },
    ];
    const [gone, noDirectory, tree] = measureTrees(sources, files, control);
    expect(gone).toEqual({ sizeBytes: 0, inodes: 0 });
    expect(noDirectory).toMatch(/ENOTDIR/);
    expect(tree).toEqual({ sizeBytes: 2, inodes: 1 });
  });
});

it('follows no link out of the tree, counts names that are no text, and stops when told to', () => {
  mkdirSync(root);
  symlinkSync('/usr', join(root, 'way'));
  writeFileSync(Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9])]), '12345');
  copyFileSync(join(parent, 'etc', 'group'), join(root, 'passed'));
  utimesSync(join(root, 'passed'), 1, 1);
  expect(measured(null, ['/passed'])).toEqual({ sizeBytes: 5 + '/usr'.length, inodes: 2 });
  const cancelled = { ...control, isCancelled: () => true };
  expect(() => measureTrees([{ root, parent: null, except: [] }], files, cancelled)).toThrow(Cancelled);
});
