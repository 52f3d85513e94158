import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGoRegexp } from '../../../../src/base/go-regexp.ts';
import { cleanPath, PathPatterns } from '../../../../src/engine/dockerfile/patterns.ts';

function matches(patterns: readonly string[], path: string): boolean {
  return new PathPatterns(patterns).matches(path);
}

describe('PathPatterns', () => {
  // What moby's own tests expect of patternmatcher.
  it.each([
    ['**', 'file', true],
    ['**', 'file/', true],
    ['**/', 'file', true],
    ['**/', 'dir/file', true],
    ['**/**', 'dir/file', true],
    ['dir/**', 'dir/file', true],
    ['dir/**', 'dir/dir2/file', true],
    ['dir/**', 'dir', false],
    ['**/dir', 'dir', true],
    ['**/dir', 'dir/file', true],
    ['**/dir2/*', 'dir/dir2/file', true],
    ['**/dir2/**', 'dir/dir2/dir2/file', true],
    ['**file', 'file', true],
    ['**file', 'dir/file', true],
    ['**/file', 'dir/file', true],
    ['**file', 'dir/dir/file', true],
    ['**/file*', 'dir/dir/file.txt', true],
    ['**/file*txt', 'dir/dir/file.txt', true],
    ['**/file*.txt*', 'dir/dir/file.txt', true],
    ['**/file?*.txt', 'dir/dir/file.txt', false],
    ['**/[0-9]*', 'a/9', true],
    ['**/.foo', 'bar.foo', false],
    ['a**b', 'ab', true],
    ['a**/*a', 'a/b/ba', true],
    ['abc.def', 'abcdef', false],
    ['abc.def', 'abcZdef', false],
    ['abc?def', 'abcZdef', true],
    ['a[b-d]e', 'ace', true],
    ['a[b-d]e', 'aze', false],
    ['[*]', '^]', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['a\\.b', 'axb', false],
    ['.*', '.foo', true],
    ['.*', 'foo', false],
    ['a.|)$(}+{bc', 'a.|)$(}+{bc', true],
    ['a^*', 'a^b', false],
    [
      'dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl',
      'dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl',
      true,
    ],
    ['dist/*.whl', 'dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl', true],
    ['a\\*b/c*', 'a*b/cd', true],
    ['ä?', 'ä€', true],
    ['./a/../b/', 'b/c', true],
    ['docs', 'docs2', false],
    ['docs', 'docs/a/b', true],
    ['*', '.', false],
  ])('%s of %s: %s', (pattern, path, expected) => {
    expect(matches([pattern], path)).toBe(expected);
  });

  it.each([
    [['**', '!util/docker/web'], 'util/docker/web/foo', false],
    [['**', '!util/docker/web', 'util/docker/web/foo'], 'util/docker/web/foo', true],
    [['**', '!dist/*.whl'], 'dist/x.whl', false],
    [['*', '!src/**', 'src/*.o'], 'src/a.o', true],
    [['*', '!src/**', 'src/*.o'], 'src/a.c', false],
    [['*.md', '!README*.md', 'README-secret.md'], 'README-secret.md', true],
    [['*.md', '!README*.md', 'README-secret.md'], 'README.md', false],
    [['!a'], 'a', false],
    [[], 'a', false],
    [['  a  ', '\t'], 'a', true],
  ])('%s of %s: %s', (patterns, path, expected) => {
    expect(matches(patterns, path)).toBe(expected);
  });

  it('hands what it found for a directory to what is in it', () => {
    const patterns = new PathPatterns(['a/b', '!a/b/keep', 'c/*', '!c/d']);
    const b = patterns.look('a/b', patterns.look('a', null));
    expect(b.isMatched).toBe(true);
    expect(patterns.look('a/b/other', b).isMatched).toBe(true);
    expect(patterns.look('a/b/keep', b).isMatched).toBe(false);
    const d = patterns.look('c/d', patterns.look('c', null));
    expect(patterns.look('c/d/e', d).isMatched).toBe(false);
  });

  it('says where exceptions may lie', () => {
    const patterns = new PathPatterns(['*', '!a/b/c', '!d/**']);
    expect(['a', 'a/b', 'a/b/c', 'd'].map((path) => patterns.mayHoldExceptions(path))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['x', 'a/c', 'aa'].map((path) => patterns.mayHoldExceptions(path))).toEqual([false, false, false]);
    expect(new PathPatterns(['*', '!**/*.md']).mayHoldExceptions('docs')).toBe(true);
    expect(new PathPatterns(['*']).mayHoldExceptions('docs')).toBe(false);
  });

  it.each(['[', 'a[', '[a', '[]', 'a\\', '[-]', '[a-]'])('refuses %s', (pattern) => {
    expect(() => new PathPatterns([pattern])).toThrow('syntax error in pattern');
  });

  it('refuses an exception of nothing', () => {
    expect(() => new PathPatterns(['!'])).toThrow('illegal exclusion pattern: "!"');
  });

  it('matches as the expression does that moby makes', () => {
    const pattern = fc.string({
      unit: fc.constantFrom('a', 'b', '.', '/', '*', '**', '?'),
      minLength: 1,
      maxLength: 8,
    });
    const path = fc.string({ unit: fc.constantFrom('a', 'b', '.', '/'), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pattern, path, (text, given) => {
        const clean = cleanPath(given);
        fc.pre(clean !== '.' && !text.includes('.') && !clean.startsWith('..') && !clean.startsWith('/'));
        expect(matches([text], clean)).toBe(mobyMatches(cleanPath(text), clean));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no longer for wildcards that could match in many ways', () => {
    const patterns = new PathPatterns([`${'**/a*'.repeat(30)}z`]);
    const startedAt = performance.now();
    expect(patterns.matches(`${'a/'.repeat(400)}a`)).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

/** patternmatcher's way, step by step: an expression, but for three simple forms. */
function mobyMatches(pattern: string, path: string): boolean {
  const parents = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  return parents.some((each) => mobyMatch(pattern, each));
}

function mobyMatch(pattern: string, path: string): boolean {
  let form = 'exact';
  let source = '^';
  for (let index = 0, at = 0; at < pattern.length; index += 1) {
    const character = pattern.charAt(at);
    at += 1;
    if (character === '*' && pattern.charAt(at) === '*') {
      at += pattern.charAt(at + 1) === '/' ? 2 : 1;
      if (at < pattern.length) {
        source += '(.*/)?';
        form = 'expression';
      } else if (form === 'exact') {
        form = 'prefix';
      } else {
        source += '.*';
        form = 'expression';
      }
      if (index === 0) form = 'suffix';
    } else if (character === '*' || character === '?') {
      source += character === '*' ? '[^/]*' : '[^/]';
      form = 'expression';
    } else {
      source += character === '.' ? '\\.' : character;
    }
  }
  switch (form) {
    case 'exact':
      return path === pattern;
    case 'prefix':
      return path.startsWith(pattern.slice(0, -2));
    case 'suffix':
      return path.endsWith(pattern.slice(2)) || (pattern[2] === '/' && path === pattern.slice(3));
    default:
      return compileGoRegexp(`${source}$`)?.(path) ?? false;
  }
}
