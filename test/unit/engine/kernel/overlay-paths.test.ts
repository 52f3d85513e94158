import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  commonDirectory,
  layersIn,
  rebased,
  withShortLayers,
} from '../../../../src/engine/kernel/linux/overlay-paths.ts';

describe('paths of overlay layers', () => {
  it('are found in the words that name some', () => {
    expect(layersIn('lowerdir=/a/b:/a/c')).toEqual(['/a/b', '/a/c']);
    expect(layersIn('upperdir=/a/d:e')).toEqual(['/a/d:e']);
    expect(layersIn('index=off')).toEqual([]);
  });

  it.each([
    [['/a/l/x', '/a/l/y'], '/a/l'],
    [['/a/l/x', '/a/container/work'], '/a'],
    [['/a/l/x'], '/a/l'],
    [['/x', '/y/z'], '/'],
    [['/ab/x', '/a/x'], '/'],
  ])('%j lie in %s', (paths, directory) => {
    expect(commonDirectory(paths)).toBe(directory);
  });

  it('are put elsewhere, other words are not', () => {
    expect(rebased('lowerdir=/a/l/x:/a/l/y', '/a/l', '/fd')).toBe('lowerdir=/fd/x:/fd/y');
    expect(rebased('workdir=/a/work', '/', '/fd')).toBe('workdir=/fd/a/work');
    expect(rebased('metacopy=off', '/', '/fd')).toBe('metacopy=off');
  });

  it('fit into a page for 128 layers in whatever directory, and lead to the same', () => {
    const root = mkdtempSync(join(tmpdir(), 'overlay-paths-'));
    const deep = join(root, 'd'.repeat(200), 'l');
    const names = Array.from({ length: 128 }, (_, index) => `LAYER${String(index).padStart(3, '0')}`);
    for (const name of names) mkdirSync(join(deep, name, `in-${name}`), { recursive: true });
    const words = [`lowerdir=${names.map((name) => join(deep, name)).join(':')}`, 'upperdir=/elsewhere/upper'];
    withShortLayers(words, ([lower = '', upper]) => {
      expect(Buffer.byteLength(lower)).toBeLessThan(3500);
      expect(upper).toBe('upperdir=/elsewhere/upper');
      expect(layersIn(lower).map((path) => readdirSync(path)[0])).toEqual(names.map((name) => `in-${name}`));
    });
    rmSync(root, { recursive: true });
  });
});
