import { describe, expect, it } from 'vitest';
import { askedPath } from '../../../../src/engine/storage/layers/view/path-words.ts';

describe('askedPath', () => {
  it.each([
    ['/', { path: '/', wantsDirectory: true, base: '/' }],
    ['.', { path: '/', wantsDirectory: true, base: '.' }],
    ['', { path: '/', wantsDirectory: true, base: '/' }],
    ['/a', { path: '/a', wantsDirectory: false, base: 'a' }],
    ['a/b', { path: '/a/b', wantsDirectory: false, base: 'b' }],
    ['/a/', { path: '/a', wantsDirectory: true, base: 'a' }],
    ['/a//', { path: '/a', wantsDirectory: true, base: 'a' }],
    ['/a/.', { path: '/a', wantsDirectory: true, base: '.' }],
    ['/a/./b/../c', { path: '/a/c', wantsDirectory: false, base: 'c' }],
    ['../../etc', { path: '/etc', wantsDirectory: false, base: 'etc' }],
    ['/..', { path: '/', wantsDirectory: false, base: '/' }],
  ])('%s', (given, expected) => {
    expect(askedPath(given)).toEqual(expected);
  });
});
