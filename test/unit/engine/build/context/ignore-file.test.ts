import { describe, expect, it } from 'vitest';
import { parseIgnoreFile } from '../../../../../src/engine/build/context/ignore-file.ts';

describe('parseIgnoreFile', () => {
  // What moby's own test of ignorefile expects.
  it('reads lines as moby does', () => {
    const text = [
      '# an ignored comment',
      'test1',
      '/test2',
      '/a/file/here',
      '',
      'lastfile',
      '  # a pattern that begins with a hash',
      '! /inverted/abs/path',
      '!',
      '! ',
      './dir/../other/\r',
    ].join('\n');
    expect(() => parseIgnoreFile(text)).toThrow('error reading .dockerignore: illegal exclusion pattern: "!"');
    expect(parseIgnoreFile(text.replace('!\n! \n', ''))).toEqual([
      'test1',
      'test2',
      'a/file/here',
      'lastfile',
      '# a pattern that begins with a hash',
      '!inverted/abs/path',
      'other',
    ]);
  });

  it('passes a byte order mark over', () => {
    expect(parseIgnoreFile('\uFEFF# words\na')).toEqual(['a']);
  });

  it('says nothing where nothing is', () => {
    expect([parseIgnoreFile(''), parseIgnoreFile('\n\n \n')]).toEqual([[], []]);
  });
});
