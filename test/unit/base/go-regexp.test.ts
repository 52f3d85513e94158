import { describe, expect, it } from 'vitest';
import { compileGoRegexp } from '../../../src/base/go-regexp.ts';

describe('compileGoRegexp', () => {
  it.each([
    ['', 'anything', true],
    ['web', 'my-web-1', true],
    ['^web', 'my-web-1', false],
    ['^/web-1$', '/web-1', true],
    ['1$', 'web-1', true],
    ['^$', 'web', false],
    ['w.b', 'wob', true],
    ['w.b', 'w.b', true],
    ['^(web|db)-[0-9]+$', 'db-12', true],
    ['(?i)^WEB', 'web-1', true],
    ['[[:digit:]]{2}', 'web-12', true],
    ['\\Aweb\\z', 'web', true],
  ])('%s in %s: %s', (source, text, expected) => {
    expect(compileGoRegexp(source)?.(text)).toBe(expected);
  });

  it.each(['(', '*a', 'a(?=b)', '(a)\\1', 'x{1001}', '((a{100}){100}){100}', `(a)${'b'.repeat(4096)}`])(
    'has no %s',
    (source) => {
      expect(compileGoRegexp(source)).toBeNull();
    },
  );

  it.each(['(a+)+_$', '(a|a)*_', '(x+x+)+y', '^(([a-z])+.)+[A-Z]([a-z])+$'])('ends with %s', (source) => {
    expect(compileGoRegexp(source)?.('a'.repeat(255))).toBe(false);
  });
});
