import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { measureTree } from '../../../../src/engine/storage/tree-usage.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tree-usage-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

test('counts every inode once, whatever its name is made of', async () => {
  mkdirSync(join(root, 'sub'));
  writeFileSync(Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9])]), '12345');
  writeFileSync(join(root, 'sub', 'ü'), '123');
  linkSync(join(root, 'sub', 'ü'), join(root, 'z'));
  symlinkSync('/etc', join(root, 'way'));
  expect(await measureTree(root)).toEqual({ sizeBytes: 5 + 3 + '/etc'.length, inodes: 4 });
});

test('finds nothing where nothing is', async () => {
  expect(await measureTree(join(root, 'none'))).toEqual({ sizeBytes: 0, inodes: 0 });
});
