import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deleteHere } from '../../../../src/engine/storage/delete-tree.ts';

describe('deleteHere', () => {
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'delete-tree-'));
  });
  afterEach(() => rmSync(place, { recursive: true, force: true }));

  it.each([
    ['a few little files', 3, 10],
    ['many', 40, 10],
    ['large ones', 2, 200_000],
  ])('deletes a tree of %s, and nothing that links lead to', async (_, files, bytes) => {
    const tree = join(place, 'tree');
    mkdirSync(join(tree, 'inner'), { recursive: true });
    mkdirSync(join(place, 'outside'));
    writeFileSync(join(place, 'outside', 'kept'), '');
    symlinkSync(join(place, 'outside'), join(tree, 'link'));
    for (let index = 0; index < files; index += 1)
      writeFileSync(join(tree, 'inner', `f${String(index)}`), 'x'.repeat(bytes));
    await deleteHere(tree);
    expect(existsSync(tree)).toBe(false);
    expect(existsSync(join(place, 'outside', 'kept'))).toBe(true);
  });

  it('deletes directories in each other, with names that are no text among many', async () => {
    const tree = join(place, 'tree');
    for (let index = 0; index < 50; index += 1)
      mkdirSync(join(tree, `d${String(index)}`, 'in', 'it'), { recursive: true });
    for (let index = 0; index < 50; index += 1) writeFileSync(join(tree, 'd7', 'in', `f${String(index)}`), '');
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/d7/in/`), Buffer.from([0xff, 0xfe])]), 'x'.repeat(100_000));
    await deleteHere(tree);
    expect(existsSync(tree)).toBe(false);
  });

  it('deletes names that are no text, and what is not there', async () => {
    const tree = join(place, 'tree');
    mkdirSync(tree);
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), '');
    await deleteHere(tree);
    await deleteHere(tree);
    expect(existsSync(tree)).toBe(false);
  });
});
