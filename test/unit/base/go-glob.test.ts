import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlob } from '../../../src/base/go-glob.ts';

describe('compileGlob', () => {
  // From Go's path.Match tests.
  it.each([
    ['abc', 'abc', true],
    ['*', 'abc', true],
    ['*c', 'abc', true],
    ['a*', 'ab/c', false],
    ['a*/b', 'abc/b', true],
    ['a*/b', 'a/c/b', false],
    ['ab[c]', 'abc', true],
    ['ab[b-d]', 'abc', true],
    ['ab[e-g]', 'abc', false],
    ['ab[^c]', 'abc', false],
    ['ab[^e-g]', 'abc', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'ab', false],
    ['a?b', 'a☺b', true],
    ['a?b', 'a/b', false],
    ['[\\]a]', ']', true],
    ['[x\\-]', '-', true],
    ['a.c', 'abc', false],
    ['', '', true],
    ['a*b?c*x', 'abxbbxdbxebxczzx', true],
    ['a*b?c*x', 'abxbbxdbxebxczzy', false],
    ['*/b', 'a/c/b', false],
    ['a[^b]c', 'a/c', true],
    ['abc', 'ab', false],
    ['ab?', 'ab', false],
  ])('%s against %s: %s', (pattern, text, expected) => {
    expect(compileGlob(pattern)(text)).toBe(expected);
  });

  it.each(['[', '[]a]', '[a', '[-]', '[x-]', '[^', 'a\\'])('refuses %s', (pattern) => {
    expect(() => compileGlob(pattern)).toThrow('syntax error in pattern');
  });

  it('takes no longer for many stars than a text is long', () => {
    const isMatch = compileGlob(`${'*a'.repeat(60)}*b`);
    expect(isMatch('a'.repeat(255))).toBe(false);
    expect(isMatch(`${'a'.repeat(255)}b`)).toBe(true);
  });

  it('matches every plain text with itself', () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-z0-9./:+()$^|{}]*$/), (text) => compileGlob(text)(text)));
  });
});
