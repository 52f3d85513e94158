import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutPrefix, withoutSuffix, withReplaced } from '../../../../../src/engine/dockerfile/text/substitution.ts';

/** What Docker does: a regular expression of the pattern. */
function expression(pattern: string, { isGreedy, isAnchored }: { isGreedy: boolean; isAnchored: boolean }): RegExp {
  const body = [...pattern]
    .map((character) => (character === '*' ? (isGreedy ? '.*' : '.*?') : character === '?' ? '.' : character))
    .join('');
  return new RegExp(`${isAnchored ? '^' : ''}${body}`, 'g');
}

function reversed(text: string): string {
  return [...text].reverse().join('');
}

const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 });
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\n'), maxLength: 12 });

describe('patterns of substitutions', () => {
  it('cut prefixes as a regular expression does', () => {
    fc.assert(
      fc.property(text, pattern, fc.boolean(), (value, glob, isGreedy) => {
        const cut = value.replace(expression(glob, { isGreedy, isAnchored: true }), '');
        expect(withoutPrefix(value, glob, isGreedy)).toBe(cut);
        const ending = reversed(
          reversed(value).replace(expression(reversed(glob), { isGreedy, isAnchored: true }), ''),
        );
        expect(withoutSuffix(value, glob, isGreedy)).toBe(ending);
      }),
    );
  });

  it('replace the first match', () => {
    fc.assert(
      fc.property(text, pattern, (value, glob) => {
        const first = new RegExp(expression(glob, { isGreedy: true, isAnchored: false }).source);
        expect(withReplaced(value, glob, 'X', false)).toBe(value.replace(first, 'X'));
      }),
    );
  });

  // Go takes no empty match right behind another one, as sed.
  it.each([
    ['abab', 'a', 'aX', 'aXbaXb'],
    ['abc', '*', '-', '-'],
    ['abc', '', '-', '-a-b-c-'],
    ['a/b/c', '/', '', 'abc'],
    ['one two', '?', 'x', 'xxxxxxx'],
    ['a*b', '\\*', '+', 'a+b'],
    ['', 'x', 'y', ''],
  ])('every match in %s of %s by %s', (value, glob, replacement, result) => {
    expect(withReplaced(value, glob, replacement, true)).toBe(result);
  });

  it('know no other escapes', () => {
    expect(() => withoutPrefix('x', '\\q', false)).toThrow(
      "invalid pattern (\\q) in substitution: invalid escape '\\q'",
    );
  });

  it('cost what their lengths make, not what a search that goes back would', () => {
    expect(withoutPrefix('a'.repeat(4000), `${'*a'.repeat(500)}b`, true)).toHaveLength(4000);
    expect(() => withoutPrefix('a'.repeat(40_000), '*a'.repeat(500), true)).toThrow('value and pattern are too long');
    expect(() => withReplaced('a'.repeat(20_000), 'a', 'b'.repeat(1000), true)).toThrow('longer than 1048576');
  });
});
