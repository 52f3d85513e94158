import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { baseOf, confine, parentOf } from '../../../../src/engine/storage/layers/tar/path.ts';
import { whiteoutOf } from '../../../../src/engine/storage/layers/tree/whiteouts.ts';

const part = fc.oneof(fc.constantFrom('..', '.', '', '...', '.wh.', 'a'), fc.string());
const path = fc.array(part, { maxLength: 12 }).map((parts) => parts.join('/'));

describe('confine', () => {
  it.each([
    ['', ''],
    ['.', ''],
    ['/', ''],
    ['./', ''],
    ['..', ''],
    ['/etc//x/', 'etc/x'],
    ['../../etc', 'etc'],
    ['a/../b', 'b'],
    ['a/../../../b', 'b'],
    ['./a/./b', 'a/b'],
    ['...', '...'],
    ['a/..b', 'a/..b'],
  ])('%j is %j below the root', (name, expected) => {
    expect(confine(name)).toBe(expected);
  });

  it('leaves no part that could climb or stand still', () => {
    fc.assert(
      fc.property(path, (name) => {
        const parts = confine(name).split('/');
        if (parts.length > 1 || parts[0] !== '') for (const each of parts) expect(['', '.', '..']).not.toContain(each);
        expect(confine(confine(name))).toBe(confine(name));
      }),
    );
  });

  it('splits into parent and base', () => {
    expect([parentOf('a/b/c'), baseOf('a/b/c'), parentOf('a'), baseOf('a')]).toEqual(['a/b', 'c', '', 'a']);
  });
});

describe('whiteoutOf', () => {
  it.each([
    ['a/b', { kind: 'none' }],
    ['a/.whb', { kind: 'none' }],
    ['a/.wh.b', { kind: 'gone', path: 'a/b' }],
    ['.wh.b', { kind: 'gone', path: 'b' }],
    ['.wh..b', { kind: 'gone', path: '.b' }],
    ['a/.wh..wh..opq', { kind: 'opaque', directory: 'a' }],
    ['.wh..wh..opq', { kind: 'opaque', directory: '' }],
    ['.wh..wh.plnk', { kind: 'ignored' }],
    ['.wh..wh.plnk/1.2', { kind: 'ignored' }],
    ['a/.wh..wh.aufs', { kind: 'ignored' }],
  ])('reads %s', (name, expected) => {
    expect(whiteoutOf(name)).toEqual(expected);
  });

  it('never names anything but an entry of the same directory', () => {
    fc.assert(
      fc.property(path, (name) => {
        const confined = confine(name);
        try {
          const whiteout = whiteoutOf(confined);
          if (whiteout.kind === 'gone')
            expect([confine(whiteout.path), parentOf(whiteout.path)]).toEqual([whiteout.path, parentOf(confined)]);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
    );
  });
});
